import { expect, test } from 'vitest';
import { parseSdp } from '../../shared/sdp/parse.ts';
import type { LocalTransport } from './plan.ts';
import { answerRelay } from './relay-answer.ts';
import type { RelayedTrackInfo } from './relay-formats.ts';
import { acceptRelayAnswer, offerRelay } from './relay-offer.ts';

const UPSTREAM: LocalTransport = {
  ice: { ufrag: 'upstream', pwd: 'p'.repeat(26) },
  fingerprint: { algorithm: 'sha-256', value: Array(32).fill('AA').join(':') },
  candidates: [
    { address: '192.0.2.1', port: 8840, family: 4 },
    { address: '2001:db8::1', port: 8840, family: 6 },
  ],
};
const DOWNSTREAM: LocalTransport = {
  ice: { ufrag: 'downstream', pwd: 'q'.repeat(26) },
  fingerprint: { algorithm: 'sha-256', value: Array(32).fill('BB').join(':') },
  candidates: [{ address: '198.51.100.7', port: 8840, family: 4 }],
};

const H264_FMTP =
  'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640c1f;sprop-parameter-sets=Z2QAH6zZ,aOvjyyLA';
const video = { kind: 'video', clockRate: 90_000, channels: 1 } as const;
const SOURCES: RelayedTrackInfo[] = [
  {
    mid: 'mic-1',
    kind: 'audio',
    stream: 'nameless',
    codec: { name: 'opus', kind: 'audio', clockRate: 48_000, channels: 2, fmtp: 'minptime=10;stereo=1' },
  },
  { mid: '1', kind: 'video', stream: 'nameless', codec: { ...video, name: 'H264', fmtp: H264_FMTP } },
  { mid: '2', kind: 'video', stream: 'msid {screen}', codec: { ...video, name: 'VP9', fmtp: 'profile-id=2' } },
  { mid: '3', kind: 'video', stream: 'msid {screen}', codec: { ...video, name: 'H264', fmtp: H264_FMTP } },
];

function ids() {
  let next = 1_000;
  return { cname: 'cname', nextSsrc: () => next++ };
}

function negotiate(sources = SOURCES) {
  const { offer, pending } = offerRelay(sources, UPSTREAM, ids());
  const pulled = answerRelay(parseSdp(offer), DOWNSTREAM);
  const served = acceptRelayAnswer(pending, parseSdp(pulled.answer));
  return { offer, pending, pulled, served };
}

test('every track comes over with its mid, its codec to the letter, RTX, and the streams that belong together', () => {
  const { pulled, served } = negotiate();

  expect(pulled.tracks.map(({ mid, kind, codec }) => ({ mid, kind, codec }))).toEqual(
    SOURCES.map(({ mid, kind, codec }) => ({ mid, kind, codec })),
  );
  expect(pulled.tracks.map(({ stream }) => stream)).toEqual(['s0', 's0', 's1', 's1']);
  expect(served.tracks.map(({ mid, sourceMid }) => [mid, sourceMid])).toEqual(SOURCES.map(({ mid }) => [mid, mid]));
  served.tracks.forEach((track, index) => {
    const pull = pulled.tracks[index];
    expect(pull?.payloadType).toBe(track.payloadType);
    expect(pull?.rtxPayloadType).toBe(track.rtxPayloadType);
    expect(track.rtxPayloadType).not.toBeNull();
    expect(pull?.ssrcs).toEqual([{ primary: track.ssrc, rtx: track.rtxSsrc }]);
    expect(pull?.feedback).toEqual({ nack: true, pli: true, fir: false, remb: false, transportCc: false });
    expect(pull?.extensions).toMatchObject({ mid: track.extensions.mid, audioLevel: track.extensions.audioLevel });
    expect(track.extensions.dependencyDescriptor).toBeGreaterThan(0);
  });
});

test('tracks of one format share its payload types', () => {
  const { served } = negotiate();

  const types = served.tracks.map(({ payloadType }) => payloadType);
  expect(types[1]).toBe(types[3]);
  expect(new Set(types).size).toBe(3);
});

test('layers come over one by one, each SSRC under its rid, in the order of the publisher', () => {
  const [audio, camera, ...others] = SOURCES as [RelayedTrackInfo, RelayedTrackInfo, ...RelayedTrackInfo[]];
  const rids = ['q', 'h', 'f'];
  const { pulled, served } = negotiate([audio, { ...camera, rids }, ...others]);

  const layers = served.tracks.filter(({ layer }) => layer !== undefined);
  expect(layers.map(({ mid, layer }) => [mid, layer])).toEqual(rids.map((rid) => ['1', { rid, all: rids }]));
  expect(pulled.tracks).toHaveLength(SOURCES.length);
  const pull = pulled.tracks.find(({ mid }) => mid === '1');
  expect(pull?.rids).toEqual(rids);
  expect(pull?.ssrcs).toEqual(
    layers.map(({ ssrc, rtxSsrc, layer }) => ({ primary: ssrc, rtx: rtxSsrc, rid: layer?.rid })),
  );
  expect(new Set(served.tracks.flatMap(({ ssrc, rtxSsrc }) => [ssrc, rtxSsrc])).size).toBe(served.tracks.length * 2);
});

test('a track with one rid is relayed as any other', () => {
  const { served } = negotiate(SOURCES.map((source) => ({ ...source, rids: ['only'] })));
  expect(served.tracks.map(({ layer }) => layer)).toEqual(SOURCES.map(() => undefined));
});

test('the downstream dials: it is active, not lite, and names no candidates', () => {
  const { pulled, served } = negotiate();

  expect(pulled.remote).toMatchObject({ ice: UPSTREAM.ice, dtlsRole: 'client', fingerprints: [UPSTREAM.fingerprint] });
  expect(served.remote).toMatchObject({ ice: DOWNSTREAM.ice, dtlsRole: 'server' });
  expect(pulled.candidates).toEqual(UPSTREAM.candidates.map(({ address, port }) => ({ address, port })));
  expect(pulled.answer).not.toContain('ice-lite');
  expect(pulled.answer).not.toContain('a=candidate');
});

test('a relay can be relayed on', () => {
  const first = negotiate().pulled.tracks;

  const second = negotiate(first).pulled.tracks;

  expect(second.map(({ mid, codec }) => ({ mid, codec }))).toEqual(SOURCES.map(({ mid, codec }) => ({ mid, codec })));
});

test.each([
  ['a section less', (answer: string) => answer.slice(0, answer.lastIndexOf('m='))],
  ['another mid', (answer: string) => answer.replace('a=mid:mic-1', 'a=mid:mic-2')],
  ['another payload type', (answer: string) => answer.replaceAll('97', '120').replaceAll('96', '119')],
])('an answer that does not fit is refused: %s', (_, spoil) => {
  const { pending, pulled } = negotiate();

  expect(() => acceptRelayAnswer(pending, parseSdp(spoil(pulled.answer)))).toThrow(
    expect.objectContaining({ status: 400 }),
  );
});

test('an offer without candidates leads nowhere', () => {
  const { offer } = offerRelay(SOURCES, { ...UPSTREAM, candidates: [] }, ids());

  expect(() => answerRelay(parseSdp(offer), DOWNSTREAM)).toThrow(expect.objectContaining({ code: 'no_media' }));
});

test('nothing to relay', () => {
  expect(() => offerRelay([], UPSTREAM, ids())).toThrow(expect.objectContaining({ code: 'nothing_to_play' }));
});
