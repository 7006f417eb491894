import { describe, expect, test } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { fixedIds, LOCAL, source } from '../../test/support/negotiation.ts';
import { acceptPlayAnswer, offerPlay } from './offer-play.ts';

const HIGH_H264 = source('H264', 'packetization-mode=1;profile-level-id=640028', 'v');
const STEREO_OPUS = source('opus', 'stereo=1;sprop-stereo=1', 'a');

/** A player's answer to our offer, made by turning it round. */
function answerTo(offer: string): string {
  return offer
    .replaceAll('a=sendonly', 'a=recvonly')
    .replaceAll('a=setup:actpass', 'a=setup:active')
    .replaceAll(/a=(ice-lite|msid|ssrc|ssrc-group|candidate|end-of-candidates)\b.*\r\n/g, '');
}

function problemOf(run: () => unknown): string {
  try {
    run();
    return 'ok';
  } catch (error) {
    if (error instanceof ProblemError) return `${error.status} ${error.code}`;
    throw error;
  }
}

describe('offerPlay', () => {
  const { offer, mids } = offerPlay([HIGH_H264, STEREO_OPUS], LOCAL, fixedIds());
  const parsed = parseSdp(offer);

  test('#118 offers actpass, sendonly, ICE-lite, one bundle, audio first', () => {
    expect(parsed.media.map(({ kind, setup, direction }) => [kind, setup, direction])).toEqual([
      ['audio', 'actpass', 'sendonly'],
      ['video', 'actpass', 'sendonly'],
    ]);
    expect(parsed.iceLite).toBe(true);
    expect(parsed.groups).toEqual([{ semantics: 'BUNDLE', mids }]);
  });

  test('offers the encoder’s H264 profile first and the one that everybody knows after it, each with RTX', () => {
    expect(parsed.media[1]?.payloads.map(({ payloadType, encoding, fmtp }) => [payloadType, encoding, fmtp])).toEqual([
      [96, 'H264', 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640028'],
      [97, 'rtx', 'apt=96'],
      [98, 'H264', 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f'],
      [99, 'rtx', 'apt=98'],
    ]);
  });

  test('says that Opus is stereo', () => {
    expect(parsed.media[0]?.payloads[0]?.fmtp).toBe('minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1');
  });

  test('a room without tracks has nothing to offer', () => {
    expect(problemOf(() => offerPlay([], LOCAL, fixedIds()))).toBe('422 nothing_to_play');
  });
});

describe('acceptPlayAnswer', () => {
  const { offer, pending } = offerPlay([STEREO_OPUS, HIGH_H264], LOCAL, fixedIds());
  const accept = (answer: string) => acceptPlayAnswer(pending, parseSdp(answer));

  test('#127 an answer to everything yields both tracks under the offered SSRCs', () => {
    const { remote, tracks } = accept(answerTo(offer));

    expect(remote.dtlsRole).toBe('server');
    expect(tracks).toMatchObject([
      { mid: '0', kind: 'audio', sourceMid: 'a', payloadType: 111, ssrc: 1000, rtxSsrc: null, rtxPayloadType: null },
      { mid: '1', kind: 'video', sourceMid: 'v', payloadType: 96, ssrc: 1001, rtxSsrc: 1002, rtxPayloadType: 97 },
    ]);
    expect(parseSdp(offer).media.map((section) => section.ssrcs)).toEqual([[1000], [1001, 1002]]);
  });

  test('a player that knows only the common profile gets that payload type', () => {
    const answer = answerTo(offer)
      .replace('96 97 98 99', '98')
      .replaceAll(/a=(rtpmap|fmtp|rtcp-fb):(96|97|99) .*\r\n/g, '');

    expect(accept(answer).tracks[1]).toMatchObject({ payloadType: 98, rtxPayloadType: null, rtxSsrc: null });
  });

  test('extensions that the answer drops or renumbers are not used', () => {
    const answer = answerTo(offer)
      .replaceAll(/a=extmap:2 .*\r\n/g, '')
      .replaceAll('a=extmap:1 ', 'a=extmap:7 ');

    expect(accept(answer).tracks[0]?.extensions).toEqual({ absCaptureTime: 5 });
  });

  test('a passive player makes us the DTLS client', () => {
    expect(accept(answerTo(offer).replaceAll('setup:active', 'setup:passive')).remote.dtlsRole).toBe('client');
  });

  test('a rejected section gets no track', () => {
    expect(accept(answerTo(offer).replace('m=audio 9', 'm=audio 0')).tracks.map((track) => track.kind)).toEqual([
      'video',
    ]);
  });

  test.each([
    ['our own offer', offer, '422 nothing_to_play'],
    ['a missing section', answerTo(offer).slice(0, answerTo(offer).indexOf('m=video')), '400 bad_sdp'],
    ['swapped mids', answerTo(offer).replace('mid:0', 'mid:x'), '400 bad_sdp'],
    ['no role', answerTo(offer).replaceAll('setup:active', 'setup:actpass'), '400 bad_sdp'],
    ['no credentials', answerTo(offer).replaceAll(/a=ice-.*\r\n/g, ''), '400 bad_sdp'],
    ['no fingerprint', answerTo(offer).replaceAll(/a=fingerprint.*\r\n/g, ''), '400 bad_sdp'],
    ['nothing wanted', answerTo(offer).replaceAll('a=recvonly', 'a=inactive'), '422 nothing_to_play'],
    ['other codecs', answerTo(offer).replaceAll('H264/90000', 'VP8/90000'), '422 no_common_codec'],
  ])('#122 refuses an answer with %s', (_what, answer, expected) => {
    expect(problemOf(() => accept(answer))).toBe(expected);
  });
});
