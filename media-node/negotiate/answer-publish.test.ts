import { describe, expect, test } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { isLive } from '../../shared/sdp/bundle.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { LOCAL } from '../../test/support/negotiation.ts';
import { offerNames, readOffer } from '../../test/support/recorded-offers.ts';
import { answerPublish } from './answer-publish.ts';

const publish = (text: string) => {
  const plan = answerPublish(parseSdp(text), LOCAL);
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

const OBS = readOffer('obs32-publish');

describe.each(offerNames('publish'))('the answer to %s', (name) => {
  const offer = parseSdp(readOffer(name));
  const { parsed, text, remote, tracks, mids } = publish(readOffer(name));

  test('#30 begins with v=0, has CRLF everywhere and stays short', () => {
    expect(text.startsWith('v=0\r\n')).toBe(true);
    expect(text.endsWith('\r\n')).toBe(true);
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(text.length).toBeLessThan(8192);
  });

  test('#97 is recvonly on every section', () => {
    expect(parsed.media.map((section) => section.direction)).toEqual(offer.media.map(() => 'recvonly'));
  });

  test('#98 bundles all sections in the order of the offer', () => {
    expect(parsed.groups).toEqual([{ semantics: 'BUNDLE', mids }]);
    expect(mids).toEqual(offer.groups[0]?.mids);
  });

  test('#99 every section lives', () => {
    expect(parsed.media.every((section) => section.port !== 0)).toBe(true);
  });

  test('#100 muxes RTCP and says so twice', () => {
    expect(parsed.media.every((section) => section.rtcpMux && section.rtcpMuxOnly)).toBe(true);
  });

  test('#102 has the other DTLS role', () => {
    const passive = offer.media[0]?.setup === 'passive';
    expect(parsed.media.every((section) => section.setup === (passive ? 'active' : 'passive'))).toBe(true);
    expect(remote.dtlsRole).toBe(passive ? 'client' : 'server');
  });

  test('#103 is ICE-lite at session level', () => {
    expect(parsed.iceLite).toBe(true);
  });

  test('#104 keeps count, order, kinds and mids, and adds no payload type or extension', () => {
    expect(parsed.media.map(({ kind, mid }) => ({ kind, mid }))).toEqual(
      offer.media.map(({ kind, mid }) => ({ kind, mid })),
    );
    for (const [index, section] of parsed.media.entries()) {
      const offered = offer.media[index];
      expect(offered?.formats).toEqual(expect.arrayContaining([...section.formats]));
      expect(section.payloads.map(({ payloadType, encoding }) => `${payloadType} ${encoding}`)).toEqual(
        section.formats.map((format) => {
          const payload = offered?.payloads.find(({ payloadType }) => String(payloadType) === format);
          return `${format} ${payload?.encoding}`;
        }),
      );
      for (const { id, uri } of section.extensions) {
        expect(offered?.extensions.some((extension) => extension.id === id && extension.uri === uri)).toBe(true);
      }
      for (const payload of section.payloads) {
        const offeredPayload = offered?.payloads.find(({ payloadType }) => payloadType === payload.payloadType);
        expect(offeredPayload?.feedback).toEqual(expect.arrayContaining([...payload.feedback]));
      }
    }
  });

  test('#105 #106 #107 carries credentials, fingerprint and candidates everywhere, UDP IPv4 first, and their end', () => {
    for (const section of parsed.media) {
      expect(section.ice).toEqual(LOCAL.ice);
      expect(section.fingerprints).toEqual([LOCAL.fingerprint]);
      expect(section.endOfCandidates).toBe(true);
      expect(section.candidates[0]).toMatchObject({
        transport: 'udp',
        type: 'host',
        address: '127.0.0.1',
        port: 50_000,
        component: 1,
      });
    }
  });

  test('the plan agrees with the answer: one codec per section, its RTX when offered', () => {
    expect(tracks).toHaveLength(parsed.media.length);
    for (const [index, track] of tracks.entries()) {
      const section = parsed.media[index];
      const formats = [track.payloadType, track.rtxPayloadType].filter((payloadType) => payloadType !== null);
      expect(section?.formats).toEqual(formats.map(String));
      expect(track.mid).toBe(section?.mid);
    }
  });

  test('the plan knows the peer', () => {
    const tagged = offer.media.find((section) => isLive(section));
    expect(remote.ice).toEqual(tagged?.ice);
    expect(remote.fingerprints).toEqual(tagged?.fingerprints);
  });
});

describe('answerPublish', () => {
  test.each([
    ['chromium-publish', ['opus', 'VP8'], [null, 97]],
    ['firefox-publish', ['opus', 'VP8'], [null, 124]],
    ['ffmpeg9-publish-passive', ['opus', 'H264'], [null, 105]],
    ['gstreamer128-publish-h264', ['H264', 'opus'], [null, null]],
    ['obs32-publish', ['opus', 'H264'], [null, null]],
  ])('%s sends %j', (name, codecs, rtx) => {
    const { tracks } = publish(readOffer(name));

    expect(tracks.map((track) => track.codec.name)).toEqual(codecs);
    expect(tracks.map((track) => track.rtxPayloadType)).toEqual(rtx);
  });

  test('#108 OBS simulcast: every layer is in the answer', () => {
    const { text, tracks } = publish(readOffer('obs32-publish-simulcast'));

    expect(text).toContain('a=simulcast:recv 0;1;2\r\n');
    expect(text).toContain('a=rid:0 recv\r\na=rid:1 recv\r\na=rid:2 recv\r\n');
    expect(tracks[1]).toMatchObject({ rids: ['0', '1', '2'], extensions: { mid: 1, rid: 2 }, ssrcs: [] });
  });

  test('#108 Chromium simulcast: rids, repaired rids and RTX', () => {
    const { text, tracks } = publish(readOffer('chromium-publish-simulcast'));

    expect(text).toContain('a=simulcast:recv l;m;h\r\n');
    expect(tracks[0]).toMatchObject({
      rids: ['l', 'm', 'h'],
      rtxPayloadType: 97,
      extensions: { mid: 9, rid: 10, repairedRid: 11, transportCc: 4, dependencyDescriptor: 13 },
      feedback: { nack: true, pli: true, fir: true, remb: true, transportCc: true },
    });
    expect(text).toContain('a=extmap-allow-mixed\r\n');
  });

  test('#108 paused layers and alternatives are taken too', () => {
    const offer = readOffer('obs32-publish-simulcast').replace('send 0;1;2', 'send 0,~1;2');

    const { text, tracks } = publish(offer);

    expect(text).toContain('a=simulcast:recv 0,1;2\r\n');
    expect(tracks[1]?.rids).toEqual(['0', '1', '2']);
  });

  test('a rid bound to another payload type is left out', () => {
    const offer = readOffer('obs32-publish-simulcast').replace('a=rid:2 send', 'a=rid:2 send pt=97');

    expect(publish(offer).tracks[1]?.rids).toEqual(['0', '1']);
  });

  test.each([
    ['FID of Chromium', 'chromium-publish', 1, [{ primary: 2567086724, rtx: 1917237503 }]],
    [
      'FID of FFmpeg, whose RTX SSRC has no line',
      'ffmpeg9-publish-active',
      1,
      [{ primary: 794459976, rtx: 794459977 }],
    ],
    ['one SSRC of OBS', 'obs32-publish', 1, [{ primary: 1840882060, rtx: null }]],
  ])('SSRCs: %s', (_what, name, index, ssrcs) => {
    expect(publish(readOffer(name)).tracks[index]?.ssrcs).toEqual(ssrcs);
  });

  test('SSRCs: a SIM group gives the layers in its order', () => {
    const legacy = [
      'a=ssrc-group:FID 11 21',
      'a=ssrc-group:FID 12 22',
      'a=ssrc-group:SIM 12 11',
      'a=ssrc:11 cname:x',
      'a=ssrc:12 cname:x',
      'a=ssrc:21 cname:x',
      'a=ssrc:22 cname:x',
    ];
    const offer = OBS.replaceAll(/a=ssrc:1840882060.*\r\n/g, '').replace(
      'a=mid:1',
      ['a=mid:1', ...legacy].join('\r\n'),
    );

    expect(publish(offer).tracks[1]?.ssrcs).toEqual([
      { primary: 12, rtx: 22 },
      { primary: 11, rtx: 21 },
    ]);
  });

  test('#104 OPUS in capitals stays so, the plan says opus', () => {
    const { text, tracks } = publish(readOffer('gstreamer128-publish-vp8'));

    expect(text).toContain('a=rtpmap:111 OPUS/48000/2\r\n');
    expect(tracks[1]?.codec.name).toBe('opus');
  });

  test('the parameters of a stereo publisher come back, those that describe its own stream do not', () => {
    const { text: obs } = publish(OBS);
    const { text: gstreamer } = publish(readOffer('gstreamer128-publish-h264'));

    expect(obs).toMatch(/a=fmtp:111 .*stereo=1;sprop-stereo=1/);
    expect(gstreamer).toContain(
      'a=fmtp:102 packetization-mode=1;profile-level-id=42c01e;level-asymmetry-allowed=1\r\n',
    );
  });

  test('#98 a single section without group and mid gets an answer without them', () => {
    const offer = readOffer('ffmpeg9-publish-videoonly').replaceAll(/a=(group|mid).*\r\n/g, '');

    const { parsed, tracks, mids } = publish(offer);

    expect(parsed.groups).toEqual([]);
    expect(parsed.media[0]).toMatchObject({ mid: null, direction: 'recvonly' });
    expect(tracks[0]?.mid).toBe('0');
    expect(mids).toEqual([]);
  });

  test('#98 a group that names an absent mid is answered without it', () => {
    const offer = readOffer('ffmpeg9-publish-videoonly').replace('BUNDLE 1', 'BUNDLE 0 1');

    expect(publish(offer).parsed.groups).toEqual([{ semantics: 'BUNDLE', mids: ['1'] }]);
  });

  test('#112 a data channel is taken beside the tracks', () => {
    const offer = `${OBS.replace('BUNDLE 0 1', 'BUNDLE 0 1 2')}m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=mid:2\r\na=sctp-port:5000\r\n`;

    const { parsed, tracks, dataChannel } = publish(offer);

    expect(parsed.media[2]).toMatchObject({ kind: 'application', port: 9, mid: '2' });
    expect(parsed.groups[0]?.mids).toEqual(['0', '1', '2']);
    expect(tracks).toHaveLength(2);
    expect(dataChannel?.remotePort).toBe(5000);
  });

  test.each([
    ['#16 #111 video that nobody here forwards', OBS.replace('H264/90000', 'theora/90000')],
    ['#16 #111 audio that nobody here forwards', OBS.replace('opus/48000/2', 'speex/16000')],
    ['#111 Opus at a wrong clock', OBS.replace('opus/48000/2', 'opus/16000/2')],
    ['#111 a payload type in the range of RTCP', OBS.replaceAll(/96 H264/g, '72 H264').replace('SAVPF 96', 'SAVPF 72')],
  ])('%s is 422', (_what, offer) => {
    expect(problemOf(() => publish(offer))).toBe('422 no_common_codec');
  });

  test('#96 the rules hold here too', () => {
    expect(problemOf(() => publish(OBS.replaceAll('sendonly', 'inactive')))).toBe('422 bad_direction');
  });

  test('extensions: ids above 14 and repeated ids are not taken', () => {
    const offer = OBS.replace('a=extmap:2 ', 'a=extmap:15 ').replace(
      'a=extmap:1 ',
      'a=extmap:1 urn:3gpp:video-orientation\r\na=extmap:1 ',
    );

    expect(publish(offer).tracks[1]?.extensions).toEqual({ videoOrientation: 1 });
  });

  test('Firefox: an extension that it only receives is not expected from it', () => {
    expect(publish(readOffer('firefox-publish')).text).not.toContain('playout-delay');
  });

  test('many candidates are repeated in part only', () => {
    const candidates = Array.from({ length: 40 }, (_, index) => ({
      address: `10.0.0.${index}`,
      port: 50_000,
      family: 4 as const,
    }));

    const { answer } = answerPublish(parseSdp(OBS), { ...LOCAL, candidates });

    expect(parseSdp(answer).media.map((section) => section.candidates.length)).toEqual([40, 1]);
    expect(answer.length).toBeLessThan(8192);
  });
});
