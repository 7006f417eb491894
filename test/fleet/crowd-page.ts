/**
 * Runs in a page: a publisher of a picture that costs next to nothing, and many viewers of it, each with the project's own
 * client and a `<video>` of its own, as on as many pages. Bundled by `crowd.ts`.
 */
import { WhepClient } from '../../edge/ui/clients/whep-client.ts';
import { WhipClient } from '../../edge/ui/clients/whip-client.ts';
import { HEIGHT, movingPicture, WIDTH } from './moving-picture.ts';

const BITRATE_BPS = 60_000;
const LOOK_INTERVAL_MS = 10;

export interface CrowdReport {
  /** Of each viewer: the longest time between two frames that were shown, in ms; the one that lasts included. */
  gapsMs: number[];
  /** Frames shown of each. */
  frames: number[];
  /** Media addresses of the nodes that serve them; '' without a connection. */
  addresses: string[];
  /** The longest time that the page itself had for nothing, in ms. */
  pageStallMs: number;
}

interface Spectator {
  readonly client: WhepClient;
  frames: number;
  lastMs: number;
  gapMs: number;
}

const spectators: Spectator[] = [];
let pageStallMs = 0;
let lookedMs = performance.now();
setInterval(() => {
  const nowMs = performance.now();
  pageStallMs = Math.max(pageStallMs, nowMs - lookedMs - LOOK_INTERVAL_MS);
  lookedMs = nowMs;
}, LOOK_INTERVAL_MS);

async function publish(url: string): Promise<void> {
  const client = new WhipClient({ url });
  globalThis.crowdPublisher = client;
  await client.publish(movingPicture(), {
    codecPreferences: ['VP8'],
    maxBitrateBps: BITRATE_BPS,
  });
}

function join(url: string, count: number): void {
  for (let index = 0; index < count; index += 1) {
    const video = document.createElement('video');
    Object.assign(video, { autoplay: true, muted: true, playsInline: true, width: WIDTH, height: HEIGHT });
    document.body.append(video);
    const client = new WhepClient({ url, kinds: ['video'] });
    const spectator: Spectator = { client, frames: 0, lastMs: performance.now(), gapMs: 0 };
    spectators.push(spectator);
    client.addEventListener('stream', ({ detail }) => {
      video.srcObject = detail.stream;
    });
    const onFrame = (shownMs: number): void => {
      spectator.gapMs = Math.max(spectator.gapMs, shownMs - spectator.lastMs);
      spectator.lastMs = shownMs;
      spectator.frames += 1;
      video.requestVideoFrameCallback(onFrame);
    };
    video.requestVideoFrameCallback(onFrame);
    client.start();
  }
}

/** From now on. */
function watch(): void {
  pageStallMs = 0;
  for (const spectator of spectators) Object.assign(spectator, { frames: 0, lastMs: performance.now(), gapMs: 0 });
}

function report(): CrowdReport {
  const nowMs = performance.now();
  return {
    gapsMs: spectators.map(({ gapMs, lastMs }) => Math.max(gapMs, nowMs - lastMs)),
    frames: spectators.map(({ frames }) => frames),
    addresses: spectators.map(({ client }) => addressOf(client.connection)),
    pageStallMs,
  };
}

function addressOf(connection: RTCPeerConnection | null): string {
  return /^a=candidate:\S+ \d+ \S+ \d+ (\S+) /m.exec(connection?.remoteDescription?.sdp ?? '')?.[1] ?? '';
}

declare global {
  var crowd: { publish: typeof publish; join: typeof join; watch: typeof watch; report: typeof report };
  var crowdPublisher: WhipClient;
}
globalThis.crowd = { publish, join, watch, report };
