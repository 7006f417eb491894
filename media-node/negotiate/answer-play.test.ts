import { describe, expect, test } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { fixedIds, LOCAL, source } from '../../test/support/negotiation.ts';
import { offerNames, readOffer } from '../../test/support/recorded-offers.ts';
import { answerPlay } from './answer-play.ts';
import { answerPublish } from './answer-publish.ts';
import type { SourceTrackInfo } from './plan.ts';

const OBS_H264 = source('H264', 'profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1', '1');
const OBS_OPUS = source('opus', 'minptime=10;maxaveragebitrate=96000;stereo=1;sprop-stereo=1;useinbandfec=1', '0');
const VP8 = source('VP8', '', '1');

const play = (text: string, sources: readonly SourceTrackInfo[]) => {
  const plan = answerPlay(parseSdp(text), LOCAL, sources, fixedIds());
  return { ...plan, text: plan.answer, parsed: parseSdp(plan.answer) };
};

function problemOf(run: () => unknown): string {
  try {
    run();
    return 'ok';
  } catch (error) {
    if (error instanceof ProblemError) return `${error.status} ${error.code}`;
    throw error;
  }
}

/** VP8 is what @roamhq/wrtc has, H264 what GStreamer offers; browsers have both. */
const sourcesFor = (name: string) => (name.startsWith('wrtc') ? [OBS_OPUS, VP8] : [OBS_OPUS, OBS_H264]);

describe.each(offerNames('view'))('the answer to %s', (name) => {
  const offer = parseSdp(readOffer(name));
  const { parsed, text, tracks, mids, remote } = play(readOffer(name), sourcesFor(name));
  const live = parsed.media.filter((section) => section.port !== 0 && section.kind !== 'application');

  test('#30 begins with v=0, has CRLF everywhere and stays short', () => {
    expect(text.startsWith('v=0\r\n')).toBe(true);
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(text.length).toBeLessThan(8192);
  });

  test('#114 #118 is sendonly and passive on both media sections', () => {
    expect(live.map(({ direction, setup }) => ({ direction, setup }))).toEqual([
      { direction: 'sendonly', setup: 'passive' },
      { direction: 'sendonly', setup: 'passive' },
    ]);
    expect(remote.dtlsRole).toBe('server');
  });

  test('#115 one bundle, RTCP mux, one stream', () => {
    expect(parsed.groups).toEqual([{ semantics: 'BUNDLE', mids }]);
    expect(live.every((section) => section.rtcpMux && section.rtcpMuxOnly)).toBe(true);
    expect(new Set(live.flatMap((section) => section.msids.map((msid) => msid.stream)))).toEqual(new Set(['stream']));
  });

  test('#104 keeps sections, mids, payload types and extension ids', () => {
    expect(parsed.media.map(({ kind, mid }) => ({ kind, mid }))).toEqual(
      offer.media.map(({ kind, mid }) => ({ kind, mid })),
    );
    for (const section of live) {
      const offered = offer.media[section.index];
      for (const { payloadType, encoding } of section.payloads) {
        expect(offered?.payloads).toContainEqual(expect.objectContaining({ payloadType, encoding }));
      }
      for (const { id, uri } of section.extensions) {
        expect(offered?.extensions).toContainEqual(expect.objectContaining({ id, uri }));
      }
      expect(section.extensions.map((extension) => extension.uri)).not.toContain(
        'http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01',
      );
    }
  });

  test('#119 every SSRC of a group is declared, and the plan has the same ones', () => {
    for (const [index, section] of live.entries()) {
      const track = tracks[index];
      const expected = track?.rtxSsrc == null ? [track?.ssrc] : [track.ssrc, track.rtxSsrc];
      expect(section.ssrcs).toEqual(expected);
      expect(section.ssrcGroups).toEqual(expected.length === 2 ? [{ semantics: 'FID', ssrcs: expected }] : []);
      expect(section.payloads.map((payload) => payload.payloadType)).toEqual(
        [track?.payloadType, track?.rtxPayloadType].filter((payloadType) => payloadType != null),
      );
    }
  });
});

describe('answerPlay', () => {
  test('gives each viewer its own numbers', () => {
    const { tracks } = play(readOffer('chromium-view-datachannel'), [OBS_OPUS, OBS_H264]);

    expect(tracks).toMatchObject([
      { mid: '0', kind: 'video', sourceMid: '1', payloadType: 108, rtxPayloadType: 109, ssrc: 1000, rtxSsrc: 1001 },
      { mid: '1', kind: 'audio', sourceMid: '0', payloadType: 111, rtxPayloadType: null, ssrc: 1002, rtxSsrc: null },
    ]);
    expect(tracks[0]?.extensions).toEqual({
      mid: 9,
      absSendTime: 2,
      videoOrientation: 3,
      playoutDelay: 5,
      colorSpace: 8,
    });
    expect(tracks[0]?.feedback).toEqual({ nack: true, pli: true, fir: true, remb: false, transportCc: false });
  });

  test('a data channel is taken: the node tells the player on it when it is about to leave', () => {
    const { parsed, dataChannel } = play(readOffer('chromium-view-datachannel'), [OBS_OPUS, OBS_H264]);

    expect(parsed.media[2]).toMatchObject({ kind: 'application', port: 9, mid: '2' });
    expect(parsed.groups[0]?.mids).toEqual(['0', '1', '2']);
    expect(dataChannel).toEqual({ remotePort: 5000, maxMessageBytes: 262_144 });
  });

  test('#116 a data channel outside of the group is rejected by port 0', () => {
    const view = readOffer('chromium-view-datachannel').replace('BUNDLE 0 1 2', 'BUNDLE 0 1');

    const { parsed, dataChannel } = play(view, [OBS_OPUS, OBS_H264]);

    expect(parsed.media[2]).toMatchObject({ kind: 'application', port: 0, mid: '2' });
    expect(parsed.groups[0]?.mids).toEqual(['0', '1']);
    expect(dataChannel).toBeNull();
  });

  test.each([
    ['audio only', [OBS_OPUS], 'audio', ['1']],
    ['video only', [OBS_H264], 'video', ['0']],
  ] as const)('#116 a room with %s: the other section is rejected', (_what, sources, kind, mids) => {
    const { parsed, tracks } = play(readOffer('chromium-view-datachannel'), sources);

    const live = parsed.media.filter((section) => section.port !== 0).map((section) => section.kind);
    expect(live).toEqual([kind, 'application']);
    expect(parsed.groups[0]?.mids).toEqual([...mids, '2']);
    expect(tracks.map((track) => track.kind)).toEqual([kind]);
    expect(parsed.media.find((section) => section.mid === mids[0])?.candidates.length).toBeGreaterThan(0);
  });

  test.each(['audio', 'video'] as const)('a viewer that offers only %s of a room with both', (kind) => {
    const view = readOffer('chromium-view');
    const at = view.indexOf('m=video');
    const head = view.slice(0, view.indexOf('m=')).replace('BUNDLE 0 1', kind === 'audio' ? 'BUNDLE 0' : 'BUNDLE 1');
    const section = kind === 'audio' ? view.slice(view.indexOf('m=audio'), at) : view.slice(at);

    const { tracks } = play(head + section, [OBS_OPUS, OBS_H264]);

    expect(tracks.map((track) => track.kind)).toEqual([kind]);
  });

  test('#115 #116 of two videos the first one plays, the second one is rejected', () => {
    const view = readOffer('firefox-view').replace('BUNDLE 0 1', 'BUNDLE 0 1 2');
    const second = view.slice(view.indexOf('m=video')).replace('a=mid:1', 'a=mid:2');

    const { parsed } = play(view + second, [OBS_OPUS, OBS_H264]);

    expect(parsed.media.map((section) => section.port !== 0)).toEqual([true, true, false]);
  });

  test('#99 GStreamer: port 0 + bundle-only gets its track, OPUS in capitals plays', () => {
    const { parsed, tracks } = play(readOffer('gstreamer128-view'), [OBS_OPUS, OBS_H264]);

    expect(parsed.media.map((section) => section.port)).toEqual([9, 9]);
    expect(tracks.map((track) => track.payloadType)).toEqual([111, 102]);
  });

  test('stereo Opus stays stereo, mono stays as the viewer said', () => {
    const stereo = play(readOffer('chromium-view'), [OBS_OPUS, OBS_H264]);
    const mono = play(readOffer('chromium-view'), [source('opus', 'minptime=10;useinbandfec=1')]);

    expect(stereo.text).toContain('a=fmtp:111 minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1\r\n');
    expect(mono.text).toContain('a=fmtp:111 minptime=10;useinbandfec=1\r\n');
  });

  test.each([
    ['the exact H264 profile and mode', 'profile-level-id=4d001f;packetization-mode=1', 116],
    ['the exact H264 profile in mode 0', 'profile-level-id=42001f;packetization-mode=0', 104],
    ['FFmpeg’s constrained baseline', 'level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42401e', 108],
    ['High by the mode and the most able profile', 'profile-level-id=640028;packetization-mode=1', 41],
  ])('%s', (_what, fmtp, payloadType) => {
    const { tracks } = play(readOffer('chromium-view'), [source('H264', fmtp)]);

    expect(tracks[0]?.payloadType).toBe(payloadType);
  });

  test('an H264 viewer without parameters learns what comes', () => {
    const { text } = play(readOffer('gstreamer128-view'), [OBS_H264]);

    expect(text).toContain('a=fmtp:102 profile-level-id=42e01f;packetization-mode=1;level-asymmetry-allowed=1\r\n');
  });

  test.each([
    ['VP9 profile 0', source('VP9', 'profile-id=0'), 98],
    ['VP9 unsaid profile', source('VP9'), 98],
    ['VP9 profile 2', source('VP9', 'profile-id=2'), 100],
    ['AV1 main', source('AV1', 'level-idx=5;profile=0;tier=0'), 45],
    ['AV1 unsaid profile (OBS)', source('AV1'), 45],
    ['AV1 high', source('AV1', 'profile=1'), 47],
    ['VP8', source('VP8'), 96],
    ['PCMU', source('PCMU'), 0],
    ['PCMA', source('PCMA'), 8],
  ])('%s', (_what, track, payloadType) => {
    const { tracks } = play(readOffer('chromium-view'), [track]);

    expect(tracks[0]?.payloadType).toBe(payloadType);
  });

  test('H265 by profile: Main plays on Main 10, not the other way round', () => {
    const offer = (profile: number) =>
      readOffer('gstreamer128-view').replace(
        'a=rtpmap:102 H264/90000',
        `a=rtpmap:102 H265/90000\r\na=fmtp:102 profile-id=${profile}`,
      );
    const room = (profile: number) => [source('H265', `profile-id=${profile}`)];

    expect(problemOf(() => play(offer(1), room(1)))).toBe('ok');
    expect(problemOf(() => play(offer(2), room(1)))).toBe('ok');
    expect(problemOf(() => play(offer(1), room(2)))).toBe('422 no_common_codec');
  });

  test.each([
    ['#111 a codec that the viewer lacks', readOffer('gstreamer128-view'), [OBS_OPUS, VP8], '422 no_common_codec'],
    ['#111 a profile that it lacks', readOffer('firefox-view'), [source('VP9', 'profile-id=2')], '422 no_common_codec'],
    ['a room without tracks', readOffer('chromium-view'), [], '422 nothing_to_play'],
    ['#113 an offer that sends', readOffer('chromium-publish'), [OBS_OPUS], '422 bad_direction'],
  ])('%s is an error, never black', (_what, offer, sources, expected) => {
    expect(problemOf(() => play(offer, sources))).toBe(expected);
  });

  test('MediaMTX’ stereo PCMU is not taken for PCMU', () => {
    const offer = readOffer('chromium-view').replace('a=rtpmap:0 PCMU/8000', 'a=rtpmap:0 PCMU/8000/2');

    expect(problemOf(() => play(offer, [source('PCMU')]))).toBe('422 no_common_codec');
  });

  test('Firefox: an extension that it only receives is sent to it', () => {
    const { text } = play(readOffer('firefox-view'), [OBS_OPUS, OBS_H264]);

    expect(text).toContain('a=extmap:6/sendonly http://www.webrtc.org/experiments/rtp-hdrext/playout-delay\r\n');
  });

  test('a mid too long for a one-byte header extension is not promised in one', () => {
    const long = 'm'.repeat(17);
    const offer = readOffer('firefox-view')
      .replace('a=mid:1', `a=mid:${long}`)
      .replace('BUNDLE 0 1', `BUNDLE 0 ${long}`);

    const { tracks } = play(offer, [OBS_OPUS, OBS_H264]);

    expect(tracks.map((track) => track.extensions.mid)).toEqual([3, undefined]);
  });

  test('what a publisher negotiated plays at every recorded viewer that knows its codec', () => {
    for (const publisher of offerNames('publish')) {
      const { tracks } = answerPublish(parseSdp(readOffer(publisher)), LOCAL);
      for (const viewer of ['chromium-view', 'chromium-view-mdns', 'chromium-view-datachannel', 'firefox-view']) {
        expect(play(readOffer(viewer), tracks).tracks, `${publisher} → ${viewer}`).toHaveLength(tracks.length);
      }
    }
  });
});
