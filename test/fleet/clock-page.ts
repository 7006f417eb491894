/**
 * Runs in a page: publishes a picture that shows how old the page is, as `clock-times.ts` reads it, and a tone, with the
 * project's own clients. Bundled by the tests.
 */
import { LobbyClient } from '../../edge/ui/clients/lobby-client.ts';
import { WhipClient } from '../../edge/ui/clients/whip-client.ts';
import { BITS, CELL, COLUMNS, HEIGHT, TICK_MS, WIDTH } from '../records/support/clock-picture.ts';

const FRAMES_PER_SECOND = 15;
const CODECS = ['VP8'];
const BITRATE_BPS = 200_000;

function clock(): MediaStream {
  const canvas = Object.assign(document.createElement('canvas'), { width: WIDTH, height: HEIGHT });
  const context = canvas.getContext('2d', { alpha: false });
  setInterval(() => {
    const ticks = Math.floor(performance.now() / TICK_MS);
    for (let bit = 0; context !== null && bit < BITS; bit++) {
      context.fillStyle = (ticks >> bit) & 1 ? '#fff' : '#000';
      context.fillRect((bit % COLUMNS) * CELL, Math.floor(bit / COLUMNS) * CELL, CELL, CELL);
    }
  }, 1_000 / FRAMES_PER_SECOND);
  const audio = new AudioContext();
  const sound = audio.createMediaStreamDestination();
  const tone = audio.createOscillator();
  tone.connect(sound);
  tone.start();
  return new MediaStream([...canvas.captureStream(FRAMES_PER_SECOND).getTracks(), ...sound.stream.getTracks()]);
}

let publisher: WhipClient | null = null;
let member: LobbyClient | null = null;

declare global {
  var clockPage: {
    publish(url: string, token: string): Promise<void>;
    enter(space: string, stream: string, token: string): Promise<void>;
    /** Media addresses of the nodes that are sent to. */
    addresses(): string[];
    stop(): Promise<void>;
  };
}
globalThis.clockPage = {
  publish: async (url, token) => {
    publisher = new WhipClient({ url, token });
    await publisher.publish(clock(), { codecPreferences: CODECS, maxBitrateBps: BITRATE_BPS });
  },
  enter: async (space, stream, token) => {
    member = new LobbyClient({ space, stream, token });
    const info = { purpose: 'main' as const, label: 'clock' };
    await member.join([{ stream: clock(), info, codecPreferences: CODECS, maxBitrateBps: BITRATE_BPS }]);
  },
  addresses: () =>
    [publisher?.connection, member?.connections.send].flatMap(
      (connection) => /^a=candidate:\S+ \d+ \S+ \d+ (\S+) /m.exec(connection?.remoteDescription?.sdp ?? '')?.[1] ?? [],
    ),
  stop: async () => {
    await Promise.all([publisher?.stop(), member?.leave()]);
  },
};
