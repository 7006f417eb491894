/** A listener's offers as libwebrtc (@roamhq/wrtc) takes them, round after round. No packet is sent. */
import wrtc from '@roamhq/wrtc';
import { afterEach, describe, expect, test } from 'vitest';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { countingIds, wantedTrack } from '../../test/support/listeners.ts';
import { LOCAL } from '../../test/support/negotiation.ts';
import { seededRandom } from '../../test/support/udp-proxy.ts';
import { answerListen } from './answer-listen.ts';
import { acceptAnswer, type ListenerAnswer, printOffer } from './listener-offer.ts';
import { emptyListener, type ListenerSdp, needsOffer } from './listener-sdp.ts';
import { withTracks } from './listener-tracks.ts';
import type { WantedTrack } from './plan.ts';

interface TrackEvent {
  track: { id: string; kind: string };
  streams: { id: string }[];
  transceiver: { mid: string };
}

/** What is used of `RTCPeerConnection` here; the package's own types need the DOM library. */
interface Peer {
  readonly signalingState: string;
  readonly localDescription: { sdp: string } | null;
  createOffer(): Promise<{ sdp: string }>;
  createAnswer(): Promise<{ sdp: string }>;
  setLocalDescription(description: { sdp: string }): Promise<void>;
  setRemoteDescription(description: { type: 'offer' | 'answer'; sdp: string }): Promise<void>;
  addTransceiver(kind: string, init: { direction: string }): void;
  createDataChannel(label: string): void;
  getTransceivers(): { mid: string | null; currentDirection: string | null }[];
  addEventListener(type: 'track', listener: (event: TrackEvent) => void): void;
  close(): void;
}

const peers: Peer[] = [];
afterEach(() => {
  for (const peer of peers.splice(0)) peer.close();
});

/** A listener in libwebrtc and our side of it. */
class Listener {
  readonly peer: Peer = new wrtc.RTCPeerConnection();
  readonly ids = countingIds();
  readonly events: TrackEvent[] = [];
  state: ListenerSdp = emptyListener(LOCAL, 'cname');
  last: ListenerAnswer | null = null;
  version = 0;
  offer = '';

  constructor() {
    peers.push(this.peer);
    this.peer.addEventListener('track', (event) => void this.events.push(event));
  }

  async round(): Promise<ListenerAnswer> {
    this.version += 1;
    this.offer = printOffer(this.state, LOCAL, { version: this.version });
    await this.peer.setRemoteDescription({ type: 'offer', sdp: this.offer });
    await this.peer.setLocalDescription(await this.peer.createAnswer());
    this.last = acceptAnswer(this.state, parseSdp(this.peer.localDescription?.sdp ?? ''));
    this.state = this.last.state;
    expect(this.peer.signalingState).toBe('stable');
    return this.last;
  }

  /** Offers until the peer knows these tracks. */
  async want(...wanted: WantedTrack[]): Promise<ListenerAnswer> {
    const next = withTracks(this.state, wanted, this.ids);
    if (needsOffer(this.state, next) || this.last === null) {
      this.state = next;
      await this.round();
    }
    if (this.last === null) throw new Error('no round');
    return this.last;
  }

  /** Mids on which libwebrtc receives. */
  get receiving(): (string | null)[] {
    return this.peer
      .getTransceivers()
      .filter(({ currentDirection }) => currentDirection === 'recvonly')
      .map(({ mid }) => mid);
  }
}

const keys = (answer: ListenerAnswer) => answer.tracks.map(({ key, mid }) => [key, mid]);

test('begins with a data channel alone', async () => {
  const { remote, tracks, dataChannel } = await new Listener().round();

  expect(tracks).toEqual([]);
  // An answer of libwebrtc takes no more than the offer does.
  expect(dataChannel).toEqual({ remotePort: 5000, maxMessageBytes: 262_144 });
  expect(remote.dtlsRole).toBe('server');
  expect(remote.ice.ufrag.length).toBeGreaterThan(3);
});

test('two tracks come, one goes, one of another codec takes its place', async () => {
  const listener = new Listener();
  const first = await listener.round();
  const audio = wantedTrack('u1/0', 'opus', 'minptime=10;useinbandfec=1');
  const video = wantedTrack('u1/1', 'VP8');

  const second = await listener.want(audio, video);
  expect(keys(second)).toEqual([
    ['u1/0', '1'],
    ['u1/1', '2'],
  ]);
  expect(listener.receiving).toEqual(['1', '2']);
  expect(listener.events.map(({ track, streams }) => [track.kind, streams.map(({ id }) => id)])).toEqual([
    ['audio', ['id0']],
    ['video', ['id0']],
  ]);
  expect(second.tracks[1]).toMatchObject({ payloadType: 97, rtxPayloadType: 98, ssrc: 1001, rtxSsrc: 1002 });

  const third = await listener.want(audio);
  expect([keys(third), listener.receiving]).toEqual([[['u1/0', '1']], ['1']]);

  const fourth = await listener.want(audio, wantedTrack('u2/5', 'VP9', 'profile-id=0'));
  expect(keys(fourth)).toEqual([
    ['u1/0', '1'],
    ['u2/5', '2'],
  ]);
  expect(fourth.tracks[1]).toMatchObject({ codec: { name: 'VP9' }, payloadType: 99, ssrc: 1003 });
  expect(listener.events.map(({ transceiver }) => transceiver.mid)).toEqual(['1', '2', '2']);
  expect(listener.events[2]?.streams.map(({ id }) => id)).toEqual(['id3']);
  for (const { remote } of [second, third, fourth]) expect(remote).toEqual(first.remote);
});

test('a track that replaces another in one step is announced: it takes another section', async () => {
  const listener = new Listener();
  await listener.want(wantedTrack('u1/1', 'VP8'));

  await listener.want(wantedTrack('u2/1', 'VP8'));

  expect([listener.receiving, listener.events.length]).toEqual([['2'], 2]);
  await listener.want(wantedTrack('u2/1', 'VP8'), wantedTrack('u3/1', 'VP8'));
  expect([listener.receiving, listener.events.length]).toEqual([['1', '2'], 3]);
});

test('a codec that it lacks is refused, remembered, and its section reused under another mid', async () => {
  const listener = new Listener();
  const h264 = wantedTrack('u1/1', 'H264', 'packetization-mode=1;profile-level-id=42e01f');
  const audio = wantedTrack('u1/0', 'opus');

  const first = await listener.want(h264, audio);
  expect([keys(first), first.state.unplayable]).toEqual([[['u1/0', '2']], ['u1/1']]);
  expect(needsOffer(listener.state, withTracks(listener.state, [h264, audio], listener.ids))).toBe(false);

  const second = await listener.want(h264, audio, wantedTrack('u2/1', 'VP8'));
  expect(keys(second)).toEqual([
    ['u2/1', '3'],
    ['u1/0', '2'],
  ]);
  expect(listener.state.slots.map(({ mid }) => mid)).toEqual(['0', '3', '2']);
  expect(listener.receiving.sort()).toEqual(['2', '3']);
  expect((await listener.want(audio)).state.unplayable).toEqual([]);
});

test.each([1, 2, 3, 4])('20 rounds of random changes (seed %d)', async (seed) => {
  const random = seededRandom(seed);
  const pool = Array.from({ length: 8 }, (_, member) => [
    wantedTrack(`u${member}/0`, member % 3 === 0 ? 'PCMU' : 'opus', member % 2 === 0 ? 'stereo=1;sprop-stereo=1' : ''),
    wantedTrack(`u${member}/1`, (['VP8', 'VP9', 'AV1'] as const)[member % 3] ?? 'VP8'),
    wantedTrack(`u${member}/2`, 'VP8'),
  ]).flat();
  const listener = new Listener();
  await listener.round();
  const seenIds = new Set<string>();
  let announced = 0;
  let before: readonly string[] = ['0'];

  for (let round = 0; round < 20; round++) {
    const wanted = pool.filter(() => random() < 0.4);
    const known = new Set(listener.state.slots.flatMap(({ occupant }) => occupant?.key ?? []));
    announced += wanted.filter(({ key }) => !known.has(key)).length;
    await listener.want(...wanted);

    const offer = parseSdp(listener.offer);
    const mids = listener.state.slots.map(({ mid }) => mid);
    expect(mids.slice(0, before.length)).toEqual(before);
    before = mids;
    expect(offer.media.map(({ mid }) => mid)).toEqual(mids);
    expect(offer.groups).toEqual([{ semantics: 'BUNDLE', mids }]);
    expect(offer.origin).toBe(`- ${listener.state.origin} ${listener.version} IN IP4 0.0.0.0`);
    expect(listener.last?.tracks.map(({ key }) => key).sort()).toEqual(wanted.map(({ key }) => key).sort());
    expect(listener.receiving.sort()).toEqual(listener.last?.tracks.map(({ mid }) => mid).sort());
    for (const { occupant } of listener.state.slots) if (occupant !== null) seenIds.add(occupant.trackId);
  }

  // Each time a track was placed, it was announced under ids that were never seen before.
  expect(listener.events).toHaveLength(announced);
  expect(seenIds.size).toBe(announced);
  expect(listener.state.slots.length).toBeLessThanOrEqual(2 * pool.length);
});

describe('a client that offers', () => {
  async function listen(kinds: readonly ('audio' | 'video')[], channel: boolean, wanted: readonly WantedTrack[]) {
    const listener = new Listener();
    for (const kind of kinds) listener.peer.addTransceiver(kind, { direction: 'recvonly' });
    if (channel) listener.peer.createDataChannel('data');
    await listener.peer.setLocalDescription(await listener.peer.createOffer());
    const offer = parseSdp(listener.peer.localDescription?.sdp ?? '');
    const plan = answerListen(offer, LOCAL, wanted, listener.ids, 'cname');
    await listener.peer.setRemoteDescription({ type: 'answer', sdp: plan.answer });
    listener.state = plan.state;
    listener.last = { ...plan };
    listener.version = 1;
    return { listener, plan };
  }

  test('gets what its sections hold, and the rest in offers of ours', async () => {
    const wanted = [wantedTrack('u1/0', 'opus'), wantedTrack('u1/1', 'VP9'), wantedTrack('u2/1', 'AV1')];
    const { listener, plan } = await listen(['audio', 'video'], true, wanted);
    expect(plan.tracks.map(({ key, mid }) => [key, mid])).toEqual([
      ['u1/0', '0'],
      ['u1/1', '1'],
    ]);
    expect([listener.receiving, plan.dataChannel?.remotePort, plan.mids]).toEqual([['0', '1'], 5000, ['0', '1', '2']]);

    const more = await listener.want(...wanted);
    expect(keys(more)).toEqual([
      ['u1/0', '0'],
      ['u1/1', '1'],
      ['u2/1', '3'],
    ]);
    expect(more.tracks[1]).toEqual(plan.tracks[1]);
    expect(more.dataChannel?.remotePort).toBe(plan.dataChannel?.remotePort);
    // Its own number for AV1.
    const offered = parseSdp(listener.peer.localDescription?.sdp ?? '').media[3]?.payloads[0];
    expect([offered?.encoding, more.tracks[2]?.payloadType]).toEqual(['AV1', offered?.payloadType]);

    const fewer = await listener.want(wantedTrack('u3/1', 'VP8'));
    expect([keys(fewer), listener.receiving]).toEqual([[['u3/1', '4']], ['4']]);
    const reused = await listener.want(wantedTrack('u3/1', 'VP8'), wantedTrack('u4/0', 'opus'));
    expect(keys(reused)).toEqual([
      ['u4/0', '0'],
      ['u3/1', '4'],
    ]);
  });

  test('before anybody is there', async () => {
    const { listener, plan } = await listen(['audio', 'video'], false, []);
    expect([plan.tracks, listener.receiving]).toEqual([[], []]);

    const later = await listener.want(wantedTrack('u1/1', 'VP8'), wantedTrack('u1/0', 'PCMA'));

    expect(keys(later)).toEqual([
      ['u1/0', '0'],
      ['u1/1', '1'],
    ]);
    expect(later.tracks[0]?.payloadType).toBe(8);
    expect(listener.receiving).toEqual(['0', '1']);
  });

  test('only a data channel', async () => {
    const { listener } = await listen([], true, []);

    const later = await listener.want(wantedTrack('u1/1', 'VP8'));

    expect(keys(later)).toEqual([['u1/1', '1']]);
  });
});
