/** Members of a stream lobby on one node over real UDP, with libwebrtc and a real FFmpeg; the test plays the edge. */
import { createRequire } from 'node:module';
import { expect, onTestFinished, test } from 'vitest';
import { type LobbyId, mintSessionId, type SessionId } from '../../shared/ids.ts';
import type { NodeResult } from '../../shared/protocol/control.ts';
import { answerFrame, decodeFrame, encodeFrame, muteFrame, type OfferFrame } from '../../shared/signal-frames.ts';
import { readTrackInfo } from '../../shared/track-info.ts';
import type { Signalling } from '../support/client/signalling.ts';
import { play } from '../support/client/viewer.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { memberMedia } from '../support/lobby/member-media.ts';
import { sectionsOf, tracksOf, withInfo } from '../support/lobby/sections.ts';
import { type NodeUnderTest, openNodeUnderTest } from '../support/node-under-test.ts';
import { AAC, AVC, RtmpSink } from '../support/rtmp-sink.ts';
import { until } from '../support/until.ts';
import { WhipFront } from '../support/whip-front.ts';
import { type WrtcChannel, type WrtcConnection, wrtc } from '../support/wrtc.ts';
import { withVideoCodec } from '../support/wrtc-peer.ts';

const LOBBY = 'stream:s1/5f0c7d1e-6f55-4b07-9a0e-0d8e2b6a1c11' as LobbyId;
const FFMPEG = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const DEADLINE_MS = 15_000;

class Member {
  readonly session: SessionId = mintSessionId();
  readonly listener: SessionId = mintSessionId();
  readonly ingress: WrtcConnection = new wrtc.RTCPeerConnection();
  readonly egress: WrtcConnection = new wrtc.RTCPeerConnection();
  readonly channel: WrtcChannel = this.ingress.createDataChannel('whip');
  readonly mutes: { mid: string; mute: boolean }[] = [];
  readonly numbers: number[] = [];
  /** The newest description that was applied. */
  sdp = '';
  readonly generation: number;
  readonly #node: NodeUnderTest;
  #order: Promise<void> = Promise.resolve();

  constructor(node: NodeUnderTest, generation: number) {
    this.#node = node;
    this.generation = generation;
    this.channel.binaryType = 'arraybuffer';
    this.channel.onmessage = ({ data }) => this.#read(data);
    onTestFinished(() => {
      this.ingress.close();
      this.egress.close();
    });
  }

  async enter(label: string): Promise<void> {
    const media = memberMedia('both');
    onTestFinished(() => media.stop());
    const together = new wrtc.MediaStream();
    for (const track of media.tracks)
      this.ingress.addTransceiver(track, { direction: 'sendonly', streams: [together] });
    const { sdp } = await this.ingress.createOffer();
    await this.ingress.setLocalDescription({ type: 'offer', sdp: withVideoCodec(sdp, 'VP8') });
    await gathered(this.ingress);
    const { answer } = (await this.#node.node.request({
      method: 'join',
      lobby: LOBBY,
      revision: 1,
      session: this.session,
      generation: this.generation,
      fixed: false,
      offer: withInfo(this.ingress.localDescription?.sdp ?? '', `1 2 ${label}`),
    })) as NodeResult<'join'>;
    await this.ingress.setRemoteDescription({ type: 'answer', sdp: answer });
  }

  async listen(): Promise<void> {
    const { session: member, listener: session } = this;
    const request = { method: 'listen', lobby: LOBBY, member, session, offer: null } as const;
    const { sdp } = (await this.#node.node.request(request)) as NodeResult<'listen'>;
    await this.#apply(sdp);
    await gathered(this.egress);
    const answer = this.egress.localDescription?.sdp ?? '';
    await this.#node.node.request({ method: 'answer', session, answer });
  }

  get labels(): string[] {
    return tracksOf(this.sdp)
      .map(({ kind, info }) => `${kind} ${readTrackInfo(info).label}`)
      .toSorted();
  }

  async hears(...labels: string[]): Promise<void> {
    const wanted = labels.flatMap((label) => [`audio ${label}`, `video ${label}`]).toSorted();
    await until(
      () => this.labels.join() === wanted.join(),
      () => `${wanted}, but ${this.labels}`,
      DEADLINE_MS,
    );
  }

  /** Resolves when each of its tracks brought more. */
  async plays(): Promise<void> {
    const before = await this.#received();
    await this.#poll(async () => {
      const now = await this.#received();
      return tracksOf(this.sdp).every(({ mid }) => (now.get(mid) ?? 0) > (before.get(mid) ?? 0) + 3);
    });
  }

  async #received(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (const stat of (await this.egress.getStats()).values()) {
      if (stat.type !== 'inbound-rtp') continue;
      found.set(String(stat.mid), Number(stat.kind === 'video' ? stat.framesDecoded : stat.packetsReceived));
    }
    return found;
  }

  async #poll(done: () => Promise<boolean>): Promise<void> {
    const endMs = performance.now() + DEADLINE_MS;
    while (!(await done())) {
      if (performance.now() > endMs) throw new Error(`some of ${this.labels} bring nothing`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  mute(kind: string, muted: boolean): void {
    const mid =
      sectionsOf(this.ingress.localDescription?.sdp ?? '').find((section) => section.kind === kind)?.mid ?? '';
    this.channel.send(Buffer.from(encodeFrame(muteFrame(mid, muted))));
  }

  #read(data: string | ArrayBuffer): void {
    // Text is not what the seed's clients take.
    const frame = typeof data === 'string' ? null : decodeFrame(new Uint8Array(data));
    if (frame?.type === 3) this.mutes.push(frame.data);
    if (frame?.type === 1) this.#order = this.#order.then(() => this.#answer(frame));
  }

  async #answer(offer: OfferFrame): Promise<void> {
    this.numbers.push(offer.data.number);
    await this.#apply(offer.data.sdp.sdp);
    const answer = this.egress.localDescription?.sdp ?? '';
    this.channel.send(Buffer.from(encodeFrame(answerFrame(offer, answer))));
  }

  async #apply(sdp: string): Promise<void> {
    await this.egress.setRemoteDescription({ type: 'offer', sdp });
    await this.egress.setLocalDescription(await this.egress.createAnswer());
    this.sdp = sdp;
  }
}

async function gathered(connection: WrtcConnection): Promise<void> {
  await until(() => connection.iceGatheringState === 'complete', 'gathering', DEADLINE_MS);
}

async function bed(): Promise<{ node: NodeUnderTest; join(label: string): Promise<Member> }> {
  const node = await openNodeUnderTest({ ffmpeg: FFMPEG });
  onTestFinished(() => node.close());
  let generation = 0;
  return {
    node,
    async join(label) {
      generation += 1;
      const member = new Member(node, generation);
      await member.enter(label);
      await member.listen();
      return member;
    },
  };
}

test('members see and hear each other, mute, leave, and odd ones do no harm', { timeout: 90_000 }, async () => {
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

test('an encoder without a channel is main: an audience watches it, and it goes on the air', {
  timeout: 90_000,
}, async () => {
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
