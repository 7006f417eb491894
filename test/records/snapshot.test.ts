/** A picture of what is shown now, through a real ffmpeg. */
import { createRequire } from 'node:module';
import { expect, onTestFinished, test } from 'vitest';
import type { NodeResult } from '../../shared/protocol/control.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { lobbyOf, type NodeUnderTest, openNodeUnderTest } from '../support/node-under-test.ts';
import { until } from '../support/until.ts';
import { WhipFront } from '../support/whip-front.ts';
import { publishWithWrtc } from '../support/wrtc-peer.ts';

const FFMPEG = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const ROOM = 'studio';
const CONNECT_MS = 10_000;

async function studio(codec: 'H264' | 'VP8' | 'VP9' | 'AV1', ffmpeg?: string): Promise<NodeUnderTest> {
  const node = await openNodeUnderTest(ffmpeg === undefined ? {} : { ffmpeg });
  onTestFinished(() => node.close());
  const front = await WhipFront.open(() => node.publishing(ROOM));
  onTestFinished(() => front.close());
  const { url } = front;
  const publisher = codec === 'H264' ? await publishWithFfmpeg({ url }) : await publishWithWrtc({ url, codec });
  onTestFinished(() => publisher.kill());
  const [lobby] = node.node.lobbies();
  await until(() => lobby?.publisher?.state === 'connected', 'a publisher', CONNECT_MS);
  return node;
}

function snapshot(node: NodeUnderTest): Promise<NodeResult<'snapshot'>> {
  return Promise.resolve(node.node.request({ method: 'snapshot', lobby: lobbyOf(ROOM), session: null })) as Promise<
    NodeResult<'snapshot'>
  >;
}

test.each(['H264', 'VP8', 'VP9'] as const)('%s', { timeout: 40_000 }, async (codec) => {
  const node = await studio(codec, FFMPEG);
  const [first, again] = await Promise.all([snapshot(node), snapshot(node)]);
  expect(again).toBe(first);
  const jpeg = Buffer.from(first.jpeg, 'base64');
  expect(jpeg.subarray(0, 3).toString('hex')).toBe('ffd8ff');
  expect(jpeg.subarray(-2).toString('hex')).toBe('ffd9');
  expect(jpeg.length).toBeGreaterThan(2_000);
});

test('without ffmpeg, and without a publisher', { timeout: 20_000 }, async () => {
  const node = await studio('H264');
  expect(() => snapshot(node)).toThrow(expect.objectContaining({ status: 501, code: 'no_ffmpeg' }));
  const nobody = await openNodeUnderTest({ ffmpeg: FFMPEG });
  onTestFinished(() => nobody.close());
  expect(() => snapshot(nobody)).toThrow(expect.objectContaining({ status: 404, code: 'no_publisher' }));
});
