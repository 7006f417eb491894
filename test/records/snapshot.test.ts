/** A picture of what is shown now: publishers of each codec, the API of the edge, and a real ffmpeg. */
import { createRequire } from 'node:module';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { publish } from '../support/client/publisher.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { lobbyOf, openNodeUnderTest } from '../support/node-under-test.ts';
import { startVestibule } from '../support/start-vestibule.ts';
import { publishWithWrtc } from '../support/wrtc-peer.ts';

const FFMPEG = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const CODECS = ['H264', 'VP8', 'VP9', 'AV1'] as const;
/** A snapshot is good for a second. */
const FRESH_MS = 1_000;
const TRIES = 10;

interface Snapshot {
  status: number;
  code: string | null;
  bytes: Buffer;
}

test('each codec; at most one a second; a hint where there is no ffmpeg', { timeout: 90_000 }, async () => {
  const vestibule = await startVestibule({ env: { FFMPEG_PATH: FFMPEG } });
  onTestFinished(() => vestibule.stop());
  const snapshot = async (room: string): Promise<Snapshot> => {
    const answer = await fetch(`${vestibule.url}/api/rooms/${room}/snapshot.jpg`);
    const bytes = Buffer.from(await answer.arrayBuffer());
    const code = answer.ok ? null : (JSON.parse(bytes.toString()) as { code: string }).code;
    return { status: answer.status, code, bytes };
  };
  expect(await snapshot('nobody')).toMatchObject({ status: 404, code: 'no_publisher' });

  for (const codec of CODECS) {
    const url = `${vestibule.url}/api/whip/publish/${codec}`;
    const publisher = codec === 'H264' ? await publishWithFfmpeg({ url }) : await publishWithWrtc({ url, codec });
    try {
      let shown = await snapshot(codec);
      // An encoder on a busy machine takes its time for the first picture.
      for (let at = 0; at < TRIES && shown.code === 'no_picture'; at++) shown = await snapshot(codec);
      expect(shown, codec).toMatchObject({ status: 200, code: null });
      expect(shown.bytes.subarray(0, 3).toString('hex')).toBe('ffd8ff');
      expect(shown.bytes.subarray(-2).toString('hex')).toBe('ffd9');
      expect(shown.bytes.length).toBeGreaterThan(2_000);
      if (codec !== 'H264') continue;
      await delay(FRESH_MS);
      const [first, second] = await Promise.all([snapshot(codec), snapshot(codec)]);
      expect(second.bytes.equals(first.bytes)).toBe(true);
      // 2 s between keyframes: the next one is another picture.
      await delay(2 * FRESH_MS + 200);
      expect((await snapshot(codec)).bytes.equals(first.bytes)).toBe(false);
    } finally {
      await publisher.kill();
    }
  }
});

test('without ffmpeg', async () => {
  const node = await openNodeUnderTest();
  onTestFinished(() => node.close());
  const publisher = await publish({ signalling: node.publishing('room') });
  onTestFinished(() => publisher.close());
  const refused = { status: 501, code: 'no_ffmpeg', message: expect.stringContaining('FFMPEG_PATH') };
  expect(() => node.request({ method: 'snapshot', lobby: lobbyOf('room'), session: null })).toThrow(
    expect.objectContaining(refused),
  );
});
