/** Our descriptions as an independent implementation takes them: libwebrtc, by @roamhq/wrtc. No packet is sent. */
import { createRequire } from 'node:module';
import { afterEach, describe, expect, test } from 'vitest';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { fixedIds, LOCAL, source } from '../../test/support/negotiation.ts';
import { answerJoin } from './answer-join.ts';
import { answerPlay } from './answer-play.ts';
import { answerPublish } from './answer-publish.ts';
import { acceptPlayAnswer, offerPlay } from './offer-play.ts';

/** What is used of `RTCPeerConnection` here; the package's own types need the DOM library. */
interface Peer {
  readonly signalingState: string;
  readonly localDescription: { sdp: string } | null;
  createOffer(): Promise<{ sdp: string }>;
  createAnswer(): Promise<{ sdp: string }>;
  setLocalDescription(description: { sdp: string }): Promise<void>;
  setRemoteDescription(description: { type: 'offer' | 'answer'; sdp: string }): Promise<void>;
  addTransceiver(kind: string, init: { direction: string; sendEncodings?: object[] }): void;
  createDataChannel(label: string): void;
  getTransceivers(): { mid: string; currentDirection: string | null }[];
  getSenders(): {
    getParameters(): { codecs: { payloadType: number }[]; encodings: { rid: string; active: boolean }[] };
  }[];
  addEventListener(type: 'track', listener: (event: { streams: { id: string }[] }) => void): void;
  close(): void;
}

const OPUS = source('opus', 'minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1', 'a');
const VP8 = source('VP8', '', 'v');
const VP9 = source('VP9', 'profile-id=2', 'v');

/** By `require`: the package's native part does not survive being loaded twice. */
const wrtc = createRequire(import.meta.url)('@roamhq/wrtc') as { RTCPeerConnection: new () => Peer };

const peers: Peer[] = [];
/** Its native part has crashed while closed connections were collected: they are kept until the process ends. */
const closed: Peer[] = [];
afterEach(() => {
  for (const peer of peers.splice(0)) {
    peer.close();
    closed.push(peer);
  }
});

function createPeer(): Peer {
  const peer = new wrtc.RTCPeerConnection();
  peers.push(peer);
  return peer;
}

async function offerOf(peer: Peer): Promise<string> {
  await peer.setLocalDescription(await peer.createOffer());
  return peer.localDescription?.sdp ?? '';
}

const directions = (peer: Peer) => peer.getTransceivers().map((transceiver) => transceiver.currentDirection);

describe('libwebrtc takes our answer to its publishing offer', () => {
  test.each([
    ['audio and video', ['audio', 'video']],
    ['video and audio', ['video', 'audio']],
    ['audio', ['audio']],
    ['video', ['video']],
  ] as const)('%s', async (_what, kinds) => {
    const peer = createPeer();
    for (const kind of kinds) peer.addTransceiver(kind, { direction: 'sendonly' });

    const { answer, tracks } = answerPublish(parseSdp(await offerOf(peer)), LOCAL);
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });

    expect(peer.signalingState).toBe('stable');
    expect(directions(peer)).toEqual(kinds.map(() => 'sendonly'));
    expect(tracks.map((track) => track.kind)).toEqual(kinds);
    const codecs = peer.getSenders().map((sender) => sender.getParameters().codecs.map((codec) => codec.payloadType));
    expect(codecs.map((payloadTypes) => payloadTypes[0])).toEqual(tracks.map((track) => track.payloadType));
  });

  test('sendrecv', async () => {
    const peer = createPeer();
    peer.addTransceiver('video', { direction: 'sendrecv' });

    const { answer } = answerPublish(parseSdp(await offerOf(peer)), LOCAL);
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });

    expect(directions(peer)).toEqual(['sendonly']);
  });

  test('#112 with a data channel beside', async () => {
    const peer = createPeer();
    peer.addTransceiver('video', { direction: 'sendonly' });
    peer.createDataChannel('events');

    const { answer } = answerPublish(parseSdp(await offerOf(peer)), LOCAL);
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });

    expect(directions(peer)).toEqual(['sendonly']);
  });

  test('#108 simulcast with every layer', async () => {
    const peer = createPeer();
    peer.addTransceiver('video', {
      direction: 'sendonly',
      sendEncodings: [{ rid: 'l', scaleResolutionDownBy: 4 }, { rid: 'm', scaleResolutionDownBy: 2 }, { rid: 'h' }],
    });

    const { answer, tracks } = answerPublish(parseSdp(await offerOf(peer)), LOCAL);
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });

    expect(tracks[0]?.rids).toEqual(['l', 'm', 'h']);
    const encodings = peer.getSenders()[0]?.getParameters().encodings ?? [];
    expect(encodings.map(({ rid, active }) => [rid, active])).toEqual([
      ['l', true],
      ['m', true],
      ['h', true],
    ]);
  });
});

describe("libwebrtc takes our answer to a member's offer", () => {
  test.each([
    ['a data channel alone', []],
    ['tracks and a data channel', ['audio', 'video']],
    ['several tracks of a kind', ['audio', 'video', 'video', 'audio']],
  ] as const)('%s', async (_what, kinds) => {
    const peer = createPeer();
    for (const kind of kinds) peer.addTransceiver(kind, { direction: 'sendonly' });
    peer.createDataChannel('signal');

    const { answer, tracks, dataChannel } = answerJoin(parseSdp(await offerOf(peer)), LOCAL);
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });

    expect([peer.signalingState, directions(peer)]).toEqual(['stable', kinds.map(() => 'sendonly')]);
    expect(tracks.map(({ kind }) => kind)).toEqual(kinds);
    expect(new Set(tracks.map(({ stream }) => stream)).size).toBe(kinds.length);
    expect(dataChannel?.remotePort).toBe(5000);
    expect(parseSdp(answer).media.at(-1)).toMatchObject({ kind: 'application', port: 9 });
  });
});

describe('libwebrtc takes our answer to its viewing offer', () => {
  const view = async (kinds: readonly ('audio' | 'video')[], sources: readonly (typeof OPUS)[], channel = false) => {
    const peer = createPeer();
    const streams: string[] = [];
    peer.addEventListener('track', (event) => {
      streams.push(...event.streams.map((stream) => stream.id));
    });
    for (const kind of kinds) peer.addTransceiver(kind, { direction: 'recvonly' });
    if (channel) peer.createDataChannel('events');
    const plan = answerPlay(parseSdp(await offerOf(peer)), LOCAL, sources, fixedIds());
    await peer.setRemoteDescription({ type: 'answer', sdp: plan.answer });
    return { peer, plan, streams };
  };

  test.each([
    ['audio and video', ['audio', 'video'], [OPUS, VP8], ['0', '1']],
    ['video before audio', ['video', 'audio'], [OPUS, VP8], ['0', '1']],
    ['VP9 of profile 2', ['video', 'audio'], [OPUS, VP9], ['0', '1']],
    ['only audio of both', ['audio'], [OPUS, VP8], ['0']],
    ['only video of both', ['video'], [OPUS, VP8], ['0']],
    ['#116 video before audio, room without video', ['video', 'audio'], [OPUS], ['1']],
    ['#116 audio before video, room without audio', ['audio', 'video'], [VP8], ['1']],
    ['#116 two videos', ['video', 'video', 'audio'], [OPUS, VP8], ['0', '2']],
  ] as const)('%s', async (_what, kinds, sources, mids) => {
    const { peer, streams, plan } = await view(kinds, sources);

    expect(peer.signalingState).toBe('stable');
    // libwebrtc forgets the transceivers of rejected sections.
    expect(peer.getTransceivers().map(({ mid, currentDirection }) => [mid, currentDirection])).toEqual(
      mids.map((mid) => [mid, 'recvonly']),
    );
    expect(streams).toEqual(plan.tracks.map(() => 'stream'));
  });

  test('#116 with a data channel beside', async () => {
    const { peer } = await view(['video', 'audio'], [OPUS, VP8], true);

    expect(directions(peer)).toEqual(['recvonly', 'recvonly']);
  });
});

test('libwebrtc answers our offer, and we take its answer', async () => {
  const peer = createPeer();
  const { offer, pending } = offerPlay([OPUS, VP8], LOCAL, fixedIds());

  await peer.setRemoteDescription({ type: 'offer', sdp: offer });
  await peer.setLocalDescription(await peer.createAnswer());
  const { tracks, remote } = acceptPlayAnswer(pending, parseSdp(peer.localDescription?.sdp ?? ''));

  expect(directions(peer)).toEqual(['recvonly', 'recvonly']);
  expect(remote.dtlsRole).toBe('server');
  expect(tracks).toMatchObject([
    { kind: 'audio', codec: { name: 'opus' }, payloadType: 111 },
    { kind: 'video', codec: { name: 'VP8' }, payloadType: 96, rtxPayloadType: 97, rtxSsrc: 1002 },
  ]);
});
