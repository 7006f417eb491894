/** Members of a stream lobby on one node over real UDP, with libwebrtc and a real FFmpeg; the test plays the edge. */
import { createRequire } from 'node:module';
import { expect, onTestFinished, test } from 'vitest';
import { mintSessionId } from '../../shared/ids.ts';
import type { NodeResult } from '../../shared/protocol/control.ts';
import type { Signalling } from '../support/client/signalling.ts';
import { play } from '../support/client/viewer.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { LOBBY, NodeMember } from '../support/lobby/node-member.ts';
import { sectionsOf, tracksOf } from '../support/lobby/sections.ts';
import { type NodeUnderTest, openNodeUnderTest } from '../support/node-under-test.ts';
import { AAC, AVC, RtmpSink } from '../support/rtmp-sink.ts';
import { until } from '../support/until.ts';
import { WhipFront } from '../support/whip-front.ts';

const FFMPEG = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const DEADLINE_MS = 30_000;

async function bed(): Promise<{ node: NodeUnderTest; join(label: string): Promise<NodeMember> }> {
  const node = await openNodeUnderTest({ ffmpeg: FFMPEG });
  onTestFinished(() => node.close());
  let generation = 0;
  return {
    node,
    async join(label) {
      generation += 1;
      const member = new NodeMember(node, generation);
      await member.enter(label);
      await member.listen();
      return member;
    },
  };
}

test('members see and hear each other, mute, leave, and odd ones do no harm', async () => {
  const { node, join } = await bed();
  const [one, two] = await Promise.all([join('one'), join('two')]);
  await Promise.all([one.hears('two'), two.hears('one')]);
  await Promise.all([one.plays(), two.plays()]);

  two.mute('video', true);
  const mid = tracksOf(one.sdp).find(({ kind }) => kind === 'video')?.mid;
  await until(() => one.mutes.length > 0, 'a mute');
  expect([one.mutes, two.mutes]).toEqual([[{ mid, mute: true }], []]);
  const three = await join('three');
  await three.hears('one', 'two');
  expect(tracksOf(three.sdp).map(({ info }) => info)).toContain('1 1 two');
  two.mute('video', false);
  await until(() => three.mutes.length > 0, 'an unmute');
  await Promise.all([one.hears('two', 'three'), two.hears('one', 'three')]);
  await Promise.all([one.plays(), two.plays(), three.plays()]);
  expect(one.numbers).toEqual(one.numbers.map((_, index) => index + 1));

  // Channels without end, junk, long frames: nobody else notices, and the last channel still counts.
  const odd = await join('odd');
  await Promise.all([one.hears('two', 'three', 'odd'), three.hears('one', 'two', 'odd')]);
  const channels = Array.from({ length: 100 }, (_, i) => odd.ingress.createDataChannel(`more-${i}`));
  for (let i = 0; i < 500; i++) odd.channel.send(Buffer.from(i % 2 === 0 ? '{}' : 'junk'));
  odd.channel.send(Buffer.alloc(60_000, 'x'));
  await Promise.all([one.plays(), two.plays(), three.plays()]);
  expect(channels.filter(({ readyState }) => readyState === 'open').length).toBeLessThan(20);
  expect(node.lastReportOf(odd.session)?.state).toBe('connected');
  odd.ingress.close();
  await Promise.all([one.hears('two', 'three'), two.hears('one', 'three')]);

  const middle = sectionsOf(one.sdp).map((section) => section.mid);
  three.ingress.close();
  await Promise.all([one.hears('two'), two.hears('one')]);
  expect(sectionsOf(one.sdp).map((section) => section.mid)).toEqual(middle);
  expect(sectionsOf(one.sdp).filter(({ direction }) => direction === 'inactive')).toHaveLength(4);
  await Promise.all([one.plays(), two.plays()]);
  expect(node.lastReportOf(three.session)).toMatchObject({ state: 'closed', reason: 'peer-closed' });
});

test('an encoder without a channel is main: an audience watches it, and it goes on the air', async () => {
  const [{ node }, sink] = await Promise.all([bed(), RtmpSink.open()]);
  onTestFinished(() => sink.close());
  const session = mintSessionId();
  const encoder: Signalling = {
    open: async (offer) => {
      const request = {
        method: 'join',
        lobby: LOBBY,
        revision: 1,
        session,
        generation: 1,
        fixed: true,
        offer,
      } as const;
      const { answer, etag } = (await node.node.request(request)) as NodeResult<'join'>;
      return { sdp: answer, etag };
    },
    restart: () => Promise.reject(new Error('not here')),
    close: async () => {},
  };
  const front = await WhipFront.open(() => encoder);
  onTestFinished(() => front.close());
  const publisher = await publishWithFfmpeg({ url: front.url, gopFrames: 30 });
  onTestFinished(() => publisher.kill());
  await until(() => node.lastReportOf(session)?.state === 'connected', 'the encoder', DEADLINE_MS);
  expect(node.lastReportOf(session)?.tracks.map(({ info }) => info?.purpose)).toEqual(['main', 'main']);

  const viewer = await play({
    signalling: {
      open: async (offer) => {
        const request = { method: 'play', lobby: LOBBY, session: mintSessionId(), offer, maxSubscribers: 0 } as const;
        return (await node.node.request(request)) as NodeResult<'play'>;
      },
      restart: () => Promise.reject(new Error('not here')),
      close: async () => {},
    },
  });
  onTestFinished(() => viewer.close());
  await until(() => viewer.video.packets > 20 && viewer.audio.packets > 20, 'media', DEADLINE_MS);

  const live = { live: 'l1', url: `${sink.url}/key-1` };
  const desired = { lobby: LOBBY, revision: 2, members: [{ session, generation: 1, listener: null }], live };
  await node.node.request({ method: 'apply-stream', desired });
  await node.node.request({ method: 'apply-stream', desired });
  const media = await sink.event('media', 'key-1', DEADLINE_MS);
  expect(media).toMatchObject({ videoCodec: AVC, audioCodec: AAC });
  const states = (): unknown[] => node.reports.flatMap(({ lives = [] }) => lives.map(({ state }) => state));
  await until(() => states().includes('online'), 'online', DEADLINE_MS);
  expect(node.node.hello().lives).toEqual([{ lobby: LOBBY, live: 'l1', state: 'online' }]);

  // The last one leaves: everything ends.
  await node.node.request({ method: 'apply-stream', desired: { ...desired, revision: 3, members: [], live: null } });
  await sink.event('gone', 'key-1', DEADLINE_MS);
  await until(() => states().at(-1) === 'ended', 'the end', DEADLINE_MS);
  expect([...node.node.streams()]).toEqual([]);
  await until(() => node.endpoint.transportCount === 0, 'no transport', DEADLINE_MS);
});
