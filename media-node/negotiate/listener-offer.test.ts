import { describe, expect, test } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import type { SessionDescription } from '../../shared/sdp/types.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { countingIds, wantedTrack } from '../../test/support/listeners.ts';
import { LOCAL } from '../../test/support/negotiation.ts';
import { readOffer } from '../../test/support/recorded-offers.ts';
import { answerListen } from './answer-listen.ts';
import { acceptAnswer, type ListenerAnswer, printOffer } from './listener-offer.ts';
import { emptyListener, type ListenerSdp, listenerMids, midOfTrack, needsOffer } from './listener-sdp.ts';
import { MAX_LISTENER_SLOTS, withTracks } from './listener-tracks.ts';
import type { WantedTrack } from './plan.ts';

/** A peer's answer to our offer, made by turning it round. */
function turned(offer: string): string {
  return offer
    .replaceAll('a=sendonly', 'a=recvonly')
    .replaceAll('a=setup:actpass', 'a=setup:active')
    .replaceAll(/(a=(ice-lite|msid|ssrc|ssrc-group|candidate|end-of-candidates)\b|i=).*\r\n/g, '');
}

const print = (state: ListenerSdp, version = 1): string => printOffer(state, LOCAL, { version });
const settle = (state: ListenerSdp): ListenerAnswer => acceptAnswer(state, parseSdp(turned(print(state))));
const begin = (): ListenerSdp => settle(emptyListener(LOCAL, 'cname')).state;

function problemOf(run: () => unknown): string {
  try {
    run();
    return 'ok';
  } catch (error) {
    if (error instanceof ProblemError) return `${error.status} ${error.code}`;
    throw error;
  }
}

const OPUS = wantedTrack('u1/0', 'opus', 'minptime=10;useinbandfec=1;stereo=1');
const VP8 = wantedTrack('u1/1', 'VP8');
const H264 = wantedTrack('u2/1', 'H264', 'packetization-mode=1;profile-level-id=640028');

test('offer number 0 has a data channel and no track', () => {
  const offer = parseSdp(print(emptyListener(LOCAL, 'cname')));

  expect(offer.media.map(({ kind, mid, port, setup }) => [kind, mid, port, setup])).toEqual([
    ['application', '0', 9, 'actpass'],
  ]);
  expect([offer.groups, offer.iceLite]).toEqual([[{ semantics: 'BUNDLE', mids: ['0'] }], true]);
  expect(offer.media[0]?.candidates).toHaveLength(LOCAL.candidates.length);
});

describe('an offer with tracks', () => {
  const state = withTracks(
    begin(),
    [{ ...OPUS, info: { purpose: 'main', muted: true, label: 'Cam' } }, VP8, H264],
    countingIds(),
  );
  const text = print(state, 7);
  const offer = parseSdp(text);

  test('says what is sent, by whom, and under which names', () => {
    expect(offer.media.map(({ mid, kind, direction, information }) => [mid, kind, direction, information])).toEqual([
      ['0', 'application', 'sendrecv', null],
      ['1', 'audio', 'sendonly', '2 1 Cam'],
      ['2', 'video', 'sendonly', '1 2 L-1'],
      ['3', 'video', 'sendonly', '1 2 L-1'],
    ]);
    expect(offer.media.map(({ msids }) => msids)).toEqual([
      [],
      [{ stream: 'id0', track: 'id1' }],
      [{ stream: 'id0', track: 'id2' }],
      [{ stream: 'id3', track: 'id4' }],
    ]);
    expect(offer.media.map(({ ssrcs, ssrcGroups }) => [ssrcs, ssrcGroups.map((group) => group.ssrcs)])).toEqual([
      [[], []],
      [[1000], []],
      [[1001, 1002], [[1001, 1002]]],
      [[1003, 1004], [[1003, 1004]]],
    ]);
    expect(text).not.toMatch(/u1|u2/);
  });

  test('has one payload type for each codec with its parameters, each video with RTX', () => {
    expect(
      offer.media.flatMap(({ payloads }) =>
        payloads.map(({ payloadType, encoding, fmtp }) => `${payloadType} ${encoding} ${fmtp}`),
      ),
    ).toEqual([
      '96 opus minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1',
      '97 VP8 ',
      '98 rtx apt=97',
      '99 H264 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=640028',
      '100 rtx apt=99',
      '101 H264 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f',
      '102 rtx apt=101',
    ]);
    expect(offer.media[2]?.payloads[0]?.feedback).toEqual(expect.arrayContaining(['nack', 'nack pli', 'ccm fir']));
  });

  test('bundles everything, offers the same extension ids everywhere, counts its versions', () => {
    expect(offer.groups).toEqual([{ semantics: 'BUNDLE', mids: ['0', '1', '2', '3'] }]);
    const ids = new Map(offer.media.flatMap(({ extensions }) => extensions.map(({ uri, id }) => [uri, id] as const)));
    for (const section of offer.media) for (const { uri, id } of section.extensions) expect(ids.get(uri)).toBe(id);
    expect([...ids.keys()].some((uri) => uri.endsWith('sdes:mid'))).toBe(true);
    expect(offer.origin).toBe(`- ${state.origin} 7 IN IP4 0.0.0.0`);
  });

  test('the accepted tracks are what the forwarder needs', () => {
    const { tracks, remote, dataChannel } = settle(state);

    expect(remote).toMatchObject({ dtlsRole: 'server', ice: LOCAL.ice });
    expect(dataChannel).toEqual({ remotePort: 5000, maxMessageBytes: 262_144 });
    expect(tracks).toMatchObject([
      {
        key: 'u1/0',
        mid: '1',
        sourceMid: '0',
        payloadType: 96,
        rtxPayloadType: null,
        ssrc: 1000,
        rtxSsrc: null,
        cname: 'cname',
      },
      { key: 'u1/1', mid: '2', sourceMid: '1', payloadType: 97, rtxPayloadType: 98, ssrc: 1001, rtxSsrc: 1002 },
      { key: 'u2/1', mid: '3', sourceMid: '1', payloadType: 99, rtxPayloadType: 100, ssrc: 1003, rtxSsrc: 1004 },
    ]);
    expect(tracks[1]?.feedback).toMatchObject({ nack: true, pli: true, fir: true });
  });
});

describe('tracks come and go', () => {
  test('a section that a track left is offered inactive, then used again under new numbers', () => {
    const ids = countingIds();
    const two = settle(withTracks(begin(), [OPUS, VP8], ids)).state;

    const one = withTracks(two, [OPUS, H264], ids);
    expect(parseSdp(print(one)).media.map(({ mid, direction, ssrcs }) => [mid, direction, ssrcs.length])).toEqual([
      ['0', 'sendrecv', 0],
      ['1', 'sendonly', 1],
      ['2', 'inactive', 0],
      ['3', 'sendonly', 2],
    ]);
    const again = withTracks(settle(one).state, [OPUS, H264, VP8], ids);

    expect([midOfTrack(again, VP8.key), midOfTrack(again, H264.key)]).toEqual(['2', '3']);
    expect(again.slots[2]?.occupant).toMatchObject({ ssrc: 1005, rtxSsrc: 1006, streamId: 'id0', trackId: 'id5' });
  });

  test('mute alone is no reason to offer, but stands in the next offer', () => {
    const ids = countingIds();
    const known = settle(withTracks(begin(), [OPUS], ids)).state;
    const muted = { ...OPUS, info: { ...OPUS.info, muted: true } };

    const next = withTracks(known, [muted], ids);
    expect(needsOffer(known, next)).toBe(false);
    const more = withTracks(known, [muted, VP8], ids);
    expect(needsOffer(known, more)).toBe(true);
    expect(parseSdp(print(more)).media[1]?.information).toBe('1 1 L-0');
  });

  test('a track that returns with another codec is another track', () => {
    const ids = countingIds();
    const known = settle(withTracks(begin(), [VP8], ids)).state;

    const changed = withTracks(known, [{ ...H264, key: VP8.key, stream: VP8.stream }], ids);

    expect(changed.slots.map(({ mid, state, occupant }) => [mid, state, occupant?.codec.name])).toEqual([
      ['0', 'open', undefined],
      ['1', 'cooling', undefined],
      ['2', 'open', 'H264'],
    ]);
  });

  test('payload types that ran out are taken from what nobody sends any more', () => {
    const ids = countingIds();
    let state = begin();
    for (let round = 0; round < 60; round++) {
      const codecs = [0, 1].map((n) => wantedTrack(`u${n}/${round}`, 'H265', `profile-id=1;level-id=${2 * round + n}`));
      state = settle(withTracks(state, codecs, ids)).state;
      expect(state.slots.filter(({ occupant }) => occupant !== null)).toHaveLength(2);
      expectSound(parseSdp(print(state)));
    }
  });

  test('more tracks than there is room for are left out', () => {
    const wanted = Array.from({ length: 200 }, (_, index) => wantedTrack(`u${index}/1`, 'VP8'));

    const state = withTracks(begin(), wanted, countingIds());

    expect(state.slots).toHaveLength(MAX_LISTENER_SLOTS);
    expectSound(parseSdp(print(state)));
  });
});

/** In a bundle a payload type means one thing, and none is one that RTCP takes. */
function expectSound(offer: SessionDescription): void {
  const meanings = new Map<number, string>();
  for (const section of offer.media) {
    for (const { payloadType, encoding, clockRate, fmtp } of section.payloads) {
      const meaning = `${encoding}/${clockRate} ${fmtp}`;
      expect(meanings.get(payloadType) ?? meaning).toBe(meaning);
      meanings.set(payloadType, meaning);
      expect(payloadType < 64 || payloadType > 95).toBe(true);
    }
    expect(section.kind === 'application' || section.payloads.length > 0).toBe(true);
  }
  const ssrcs = offer.media.flatMap((section) => section.ssrcs);
  expect(new Set(ssrcs).size).toBe(ssrcs.length);
}

test('any wishes in any order: settled by one offer each, sections never move, no number is used twice', () => {
  const codecs = [
    ['opus', ''],
    ['opus', 'stereo=1'],
    ['PCMA', ''],
    ['VP8', ''],
    ['VP9', 'profile-id=2'],
    ['H264', 'packetization-mode=1;profile-level-id=42e01f'],
  ] as const;
  const pool = codecs.flatMap(([name, fmtp], index) => [
    wantedTrack(`a/${index}`, name, fmtp),
    wantedTrack(`b/${index}`, name, fmtp),
  ]);
  fc.assert(
    fc.property(fc.array(fc.subarray(pool), { minLength: 1, maxLength: 12 }), (wishes) => {
      const ids = countingIds();
      let state = begin();
      const placed = new Map<number, string>();
      for (const wanted of wishes) {
        const before = state.slots.map(({ mid, kind }) => `${mid} ${kind}`);
        const next = withTracks(state, wanted, ids);
        expectSound(parseSdp(print(next)));
        const { state: settled, tracks } = settle(next);
        state = settled;
        expect(tracks.map(({ key }) => key).sort()).toEqual(wanted.map(({ key }) => key).sort());
        expect(state.slots.map(({ mid, kind }) => `${mid} ${kind}`).slice(0, before.length)).toEqual(before);
        expect(needsOffer(state, withTracks(state, wanted, ids))).toBe(false);
        for (const { mid, occupant } of state.slots) {
          if (occupant === null) continue;
          const place = `${mid} ${occupant.key}`;
          expect(placed.get(occupant.ssrc) ?? place).toBe(place);
          placed.set(occupant.ssrc, place);
        }
      }
      expect(state.slots.length).toBeLessThanOrEqual(1 + 2 * pool.length);
    }),
    { numRuns: 300 },
  );
});

describe('the answer', () => {
  const state = withTracks(begin(), [OPUS, VP8], countingIds());
  const answer = turned(print(state));
  const accept = (text: string): ListenerAnswer => acceptAnswer(state, parseSdp(text));

  test.each([
    ['a section less', answer.slice(0, answer.indexOf('m=video'))],
    ['a section more', `${answer}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\n`],
    ['other kinds', answer.replace('m=audio', 'm=video')],
    ['other mids', answer.replace('a=mid:1', 'a=mid:x')],
    ['a section out of the bundle', answer.replace('BUNDLE 0 1 2', 'BUNDLE 0 1')],
    ['no bundle', answer.replace(/a=group.*\r\n/, '')],
    ['no role', answer.replaceAll('setup:active', 'setup:actpass')],
    ['no credentials', answer.replaceAll(/a=ice-(ufrag|pwd).*\r\n/g, '')],
    ['no fingerprint', answer.replaceAll(/a=fingerprint.*\r\n/g, '')],
  ])('with %s is refused', (_what, text) => {
    expect(problemOf(() => accept(text))).toBe('400 bad_sdp');
  });

  test.each([
    ['rejects the section', answer.replace('m=video 9', 'm=video 0'), 'refused'],
    ['does not want it', answer.replace(/(m=video[\s\S]*)a=recvonly/, '$1a=inactive'), 'cooling'],
    ['knows no such codec', answer.replace('VP8/90000', 'VP9/90000'), 'cooling'],
    [
      'uses a number that was not offered',
      answer.replaceAll(':97 ', ':120 ').replace('SAVPF 97', 'SAVPF 120'),
      'cooling',
    ],
  ])('that %s leaves the track unplayable for as long as it is wanted', (_what, text, slotState) => {
    const accepted = accept(text);

    expect(accepted.tracks.map(({ key }) => key)).toEqual([OPUS.key]);
    expect([accepted.state.unplayable, accepted.state.slots[2]?.state]).toEqual([[VP8.key], slotState]);
    const next = withTracks(accepted.state, [OPUS, VP8], countingIds());
    expect([needsOffer(accepted.state, next), midOfTrack(next, VP8.key)]).toEqual([false, null]);
    const offer = parseSdp(print(next));
    expect([offer.media[2]?.direction, offer.media[2]?.port]).toEqual(['inactive', slotState === 'refused' ? 0 : 9]);
    expect(withTracks(next, [OPUS], countingIds()).unplayable).toEqual([]);
  });

  test('a refused section is out of the bundle, and comes back under another mid', () => {
    const accepted = accept(answer.replace('m=video 9', 'm=video 0'));
    expect(listenerMids(accepted.state)).toEqual(['0', '1']);
    expect(parseSdp(print(accepted.state)).groups).toEqual([{ semantics: 'BUNDLE', mids: ['0', '1'] }]);

    const next = withTracks(accepted.state, [OPUS, H264], countingIds());

    expect(next.slots.map(({ mid }) => mid)).toEqual(['0', '1', '3']);
    expect(parseSdp(print(next)).groups).toEqual([{ semantics: 'BUNDLE', mids: ['0', '1', '3'] }]);
  });

  test('a passive peer makes us the DTLS client; a peer without a data channel is fine', () => {
    const accepted = accept(
      answer.replaceAll('setup:active', 'setup:passive').replace('m=application 9', 'm=application 0'),
    );

    expect([accepted.remote.dtlsRole, accepted.dataChannel, accepted.tracks.length]).toEqual(['client', null, 2]);
  });

  test('extensions that it renumbers are not used', () => {
    const changed = answer.replaceAll('a=extmap:1 ', 'a=extmap:13 ');
    expect([accept(answer).tracks[0]?.extensions.mid, accept(changed).tracks[0]?.extensions.mid]).toEqual([
      1,
      undefined,
    ]);
  });
});

describe('a client that offers', () => {
  const listen = (name: string, wanted: readonly WantedTrack[]) => {
    const ids = countingIds();
    return { ...answerListen(parseSdp(readOffer(name)), LOCAL, wanted, ids, 'cname'), ids };
  };

  test('Chromium with a data channel', () => {
    const { answer, tracks, dataChannel, state, ids } = listen('chromium-view-datachannel', [H264, OPUS, VP8]);

    expect(tracks.map(({ key }) => key).sort()).toEqual([OPUS.key, H264.key].sort());
    expect(dataChannel).toEqual({ remotePort: 5000, maxMessageBytes: 262_144 });
    const parsed = parseSdp(answer);
    expect(parsed.media.map(({ direction, information }) => [direction, information?.split(' ').length])).toEqual(
      parsed.media.map(({ kind }) => (kind === 'application' ? ['sendrecv', undefined] : ['sendonly', 3])),
    );
    const later = parseSdp(print(withTracks(state, [H264, OPUS, VP8], ids), 2));
    const offered = parseSdp(readOffer('chromium-view-datachannel')).media.flatMap(({ payloads }) => payloads);
    const added = later.media.at(-1)?.payloads[0];
    expect(offered.find(({ payloadType }) => payloadType === added?.payloadType)?.encoding).toBe('VP8');
    expectSound(later);
    expect(later.origin).toBe(`- ${state.origin} 2 IN IP4 0.0.0.0`);
  });

  test.each(['chromium-view', 'firefox-view', 'gstreamer128-view', 'wrtc-view'])(
    '%s, before anybody is there',
    (name) => {
      const { answer, tracks, state, mids } = listen(name, []);

      const parsed = parseSdp(answer);
      expect([tracks, parsed.media.map(({ direction }) => direction)]).toEqual([
        [],
        parsed.media.map(() => 'inactive'),
      ]);
      expect(parsed.media.every(({ port, mid }) => port === 9 && mids.includes(mid ?? ''))).toBe(true);
      const offer = parseSdp(print(withTracks(state, [OPUS], countingIds()), 2));
      expect(offer.media.find(({ kind }) => kind === 'audio')?.direction).toBe('sendonly');
      expect(offer.media).toHaveLength(parsed.media.length);
    },
  );

  test('a codec that it did not name gets a number that it did not use', () => {
    const { state } = listen('wrtc-view', []);
    const next = withTracks(state, [H264], countingIds());
    const used = parseSdp(readOffer('wrtc-view')).media.flatMap(({ formats }) => formats);

    const numbers = parseSdp(print(next, 2)).media.find(({ direction }) => direction === 'sendonly')?.formats ?? [];
    expect(numbers.length).toBeGreaterThan(0);
    expect(numbers.filter((number) => used.includes(number))).toEqual([]);
  });

  test('that sends is refused', () => {
    expect(problemOf(() => listen('chromium-publish', []))).toBe('422 bad_direction');
  });
});
