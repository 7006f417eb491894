/** Hostile input: whatever comes, the outcome is an answer that parses or a ProblemError of 4xx, soon. */

import { expect, test } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { evaluateIfMatch } from '../../shared/etag.ts';
import { checkPlayOffer, checkPublishOffer } from '../../shared/sdp/offer-rules.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { printSdp } from '../../shared/sdp/print.ts';
import type { SessionDescription } from '../../shared/sdp/types.ts';
import { parseFragment, restartCredentials } from '../../shared/sdpfrag.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { countingIds, wantedTrack } from '../../test/support/listeners.ts';
import { fixedIds, LOCAL, source } from '../../test/support/negotiation.ts';
import { offerNames, readOffer } from '../../test/support/recorded-offers.ts';
import { answerJoin } from './answer-join.ts';
import { answerListen } from './answer-listen.ts';
import { answerPlay } from './answer-play.ts';
import { answerPublish } from './answer-publish.ts';
import { acceptAnswer, printOffer } from './listener-offer.ts';
import { emptyListener } from './listener-sdp.ts';
import { withTracks } from './listener-tracks.ts';
import { acceptPlayAnswer, offerPlay } from './offer-play.ts';
import { answerRelay } from './relay-answer.ts';
import { acceptRelayAnswer, offerRelay } from './relay-offer.ts';

const RUNS = 10_000;
const TEST_TIMEOUT_MS = 240_000;
const OFFERS = offerNames().map((name) => readOffer(name).split('\r\n'));
const SOURCES = [source('opus', 'stereo=1'), source('H264', 'packetization-mode=1;profile-level-id=42e01f')];
const PENDING = offerPlay(SOURCES, LOCAL, fixedIds());
const RELAY = offerRelay(
  SOURCES.map((track) => ({ ...track, stream: 'room' })),
  LOCAL,
  fixedIds(),
);
const WANTED = [
  wantedTrack('u1/0', 'opus', 'stereo=1'),
  wantedTrack('u1/1', 'H264', 'packetization-mode=1;profile-level-id=42e01f'),
  wantedTrack('u2/1', 'VP8'),
];
const CURRENT = { ufrag: 'EsAw', pwd: 'P2uYro0UCOQ4zxjKXaWCBui1' };

/** Pieces that mean something to a parser, so that mutations reach further than noise would. */
const PIECES = [
  '',
  ' ',
  '0',
  '-1',
  '65536',
  '4294967296',
  '1e9',
  'NaN',
  '__proto__',
  'constructor',
  '*',
  '~',
  ';',
  ';;;;',
  ',',
  '/',
  ':',
  '=',
  '"',
  '\r',
  '\u0000',
  '\ud800',
  'é',
  'a=',
  'm=',
  'v=0',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'm=audio 0 UDP/TLS/RTP/SAVPF 111',
  'm=application 9 UDP/DTLS/SCTP webrtc-datachannel',
  'a=group:BUNDLE',
  'a=group:BUNDLE 0 0 1',
  'a=mid:0',
  'a=bundle-only',
  'a=recvonly',
  'a=sendonly',
  'a=inactive',
  'a=setup:holdconn',
  'a=simulcast:send 1;2,~3 recv 4',
  'a=rid:1 send pt=96',
  'a=rtpmap:96 H264/90000',
  'a=fmtp:96 apt=96',
  'a=fmtp:96 profile-level-id=ffffff;packetization-mode=9',
  'a=rtcp-fb:* nack',
  'a=extmap:1/recvonly urn:ietf:params:rtp-hdrext:sdes:mid',
  'a=ssrc-group:FID 1 1 1',
  'a=ssrc-group:SIM 1 2 3',
  'a=candidate:1 0 udp 1 ::1 1 typ host ufrag',
  'a=candidate:',
  'a=ice-ufrag:abcd',
  'a=ice-pwd:0123456789012345678901',
];

const piece = fc.oneof(fc.constantFrom(...PIECES), fc.string({ maxLength: 20 }));

type Mutation = { at: number; how: 'drop' | 'repeat' | 'replace' | 'insert' | 'splice' | 'swap' | 'cut'; text: string };
const mutation: fc.Arbitrary<Mutation> = fc.record({
  at: fc.nat(400),
  how: fc.constantFrom('drop', 'repeat', 'replace', 'insert', 'splice', 'swap', 'cut'),
  text: piece,
});

function mutate(lines: readonly string[], mutations: readonly Mutation[]): string {
  const mutated = [...lines];
  for (const { at, how, text } of mutations) {
    const index = at % Math.max(1, mutated.length);
    const line = mutated[index] ?? '';
    if (how === 'drop') mutated.splice(index, 1);
    else if (how === 'repeat') mutated.splice(index, 0, line);
    else if (how === 'replace') mutated[index] = text;
    else if (how === 'insert') mutated.splice(index, 0, text);
    else if (how === 'swap') mutated.splice(index, 1, mutated[(at * 7) % mutated.length] ?? '');
    else if (how === 'cut') mutated[index] = line.slice(0, at % (line.length + 1));
    else mutated[index] = line.slice(0, at % (line.length + 1)) + text + line.slice((at * 3) % (line.length + 1));
  }
  return mutated.join('\r\n');
}

const mutatedOffer = fc
  .tuple(fc.nat(OFFERS.length - 1), fc.array(mutation, { minLength: 1, maxLength: 6 }))
  .map(([index, mutations]) => mutate(OFFERS[index] ?? [], mutations));
const noise = fc.oneof(
  fc.string({ maxLength: 200, unit: 'binary' }),
  fc.array(piece, { maxLength: 30 }).map((pieces) => ['v=0', 'o=- 1 1 IN IP4 0.0.0.0', ...pieces].join('\n')),
);

/** The value, or null when the input was refused as it should be; anything else thrown fails the test. */
function tolerate<T>(run: () => T): T | null {
  try {
    return run();
  } catch (error) {
    if (error instanceof ProblemError && error.status >= 400 && error.status < 500) return null;
    throw error;
  }
}

function negotiateAll(text: string): boolean {
  const offer = tolerate(() => parseSdp(text));
  if (offer === null) return false;
  expect(parseSdp(printSdp(offer))).toEqual(offer);
  tolerate(() => checkPublishOffer(offer));
  tolerate(() => checkPlayOffer(offer));
  const published = tolerate(() => answerPublish(offer, LOCAL));
  const played = tolerate(() => answerPlay(offer, LOCAL, SOURCES, fixedIds()));
  tolerate(() => acceptPlayAnswer(PENDING.pending, offer));
  tolerate(() => answerRelay(offer, LOCAL));
  tolerate(() => acceptRelayAnswer(RELAY.pending, offer));
  joinAndListen(offer);
  for (const result of [published, played]) {
    if (result === null) continue;
    const answer = parseSdp(result.answer);
    expect(answer.media.map((section) => section.mid)).toEqual(offer.media.map((section) => section.mid));
    const live = result.tracks.length + (result.dataChannel === null ? 0 : 1);
    expect(answer.media.filter((section) => section.port !== 0)).toHaveLength(live);
  }
  return published !== null || played !== null;
}

/** What a lobby makes of an offer: each answer parses, and so does the offer that goes on from it. */
function joinAndListen(offer: SessionDescription): void {
  const mids = offer.media.map((section) => section.mid);
  const joined = tolerate(() => answerJoin(offer, LOCAL));
  if (joined !== null) {
    const answer = parseSdp(joined.answer);
    expect(answer.media.map((section) => section.mid)).toEqual(mids);
    const live = joined.tracks.length + (joined.dataChannel === null ? 0 : 1);
    expect(answer.media.filter((section) => section.port !== 0)).toHaveLength(live);
  }
  const ids = countingIds();
  const listened = tolerate(() => answerListen(offer, LOCAL, WANTED.slice(0, 2), ids, 'cname'));
  if (listened === null) return;
  expect(parseSdp(listened.answer).media.map((section) => section.mid)).toEqual(mids);
  const next = withTracks(listened.state, WANTED.slice(1), ids);
  const offered = parseSdp(printOffer(next, LOCAL, { version: 2 }));
  expect(offered.media.length).toBeGreaterThanOrEqual(mids.length);
  expect(offered.media.filter((section) => section.direction === 'sendonly')).toHaveLength(2);
}

test('mutated answers of listeners are taken or refused', { timeout: TEST_TIMEOUT_MS }, () => {
  const state = withTracks(emptyListener(LOCAL, 'cname'), WANTED, countingIds());
  const answer = printOffer(state, LOCAL, { version: 1 })
    .replaceAll('a=sendonly', 'a=recvonly')
    .replaceAll('a=setup:actpass', 'a=setup:active')
    .split('\r\n');
  let taken = 0;
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 6 }), (mutations) => {
      const accepted = tolerate(() => acceptAnswer(state, parseSdp(mutate(answer, mutations))));
      if (accepted === null) return;
      taken++;
      expect(accepted.tracks.length + accepted.state.unplayable.length).toBe(WANTED.length);
      const next = withTracks(accepted.state, WANTED.slice(1), countingIds());
      parseSdp(printOffer(next, LOCAL, { version: 2 }));
    }),
    { numRuns: RUNS },
  );

  expect(taken).toBeGreaterThan(RUNS / 20);
});

test('mutated offers are answered or refused', { timeout: TEST_TIMEOUT_MS }, () => {
  let answered = 0;
  fc.assert(
    fc.property(mutatedOffer, (text) => {
      if (negotiateAll(text)) answered++;
    }),
    { numRuns: RUNS },
  );

  // The mutations must leave enough of the offers alone to reach the answers.
  expect(answered).toBeGreaterThan(RUNS / 20);
});

test('noise is refused', { timeout: TEST_TIMEOUT_MS }, () => {
  fc.assert(
    fc.property(noise, (text) => {
      negotiateAll(text);
    }),
    { numRuns: RUNS },
  );
});

test('fragments are applied or refused', { timeout: TEST_TIMEOUT_MS }, () => {
  const FRAGMENT = [
    'a=ice-ufrag:ysXw',
    'a=ice-pwd:vw5LmwG4y/e6dPP/zAP9Gp5k',
    'm=audio 9 UDP/TLS/RTP/SAVPF 0',
    'a=mid:0',
    'a=candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw',
    'a=end-of-candidates',
  ];
  const JSON_CANDIDATE = ['{"candidate":"candidate:1 1 udp 1 192.0.2.1 1 typ host","sdpMid":"0","sdpMLineIndex":0}'];
  const fragment = fc.oneof(
    fc.array(mutation, { maxLength: 5 }).map((mutations) => mutate(FRAGMENT, mutations)),
    fc.array(mutation, { maxLength: 3 }).map((mutations) => mutate(JSON_CANDIDATE, mutations)),
    fc.json().filter((text) => text.startsWith('{')),
    noise,
  );
  let applied = 0;
  fc.assert(
    fc.property(fragment, (text) => {
      const parsed = tolerate(() => parseFragment(text));
      if (parsed === null) return;
      applied++;
      tolerate(() => restartCredentials(parsed, CURRENT));
    }),
    { numRuns: RUNS },
  );

  expect(applied).toBeGreaterThan(RUNS / 20);
});

test('If-Match values get a verdict', { timeout: TEST_TIMEOUT_MS }, () => {
  const value = fc.oneof(
    fc.string({ maxLength: 60 }),
    fc.array(fc.constantFrom('"', ',', '*', 'W/', 'abc', ' ', '"abc"')).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(value, fc.boolean(), (ifMatch, strict) => {
      expect(['ok', 'missing', 'mismatch']).toContain(evaluateIfMatch(ifMatch, '"abc"', { strict }));
    }),
    { numRuns: RUNS },
  );
});
