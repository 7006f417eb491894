import { describe, expect, test } from 'vitest';
import { offerNames, readOffer } from '../../test/support/recorded-offers.ts';
import { ProblemError } from '../errors.ts';
import { checkPlayOffer, checkPublishOffer } from './offer-rules.ts';
import { parseSdp } from './parse.ts';

const publish = (text: string) => checkPublishOffer(parseSdp(text));
const play = (text: string) => checkPlayOffer(parseSdp(text));

function verdict(run: () => void): string {
  try {
    run();
    return 'ok';
  } catch (error) {
    if (error instanceof ProblemError) return `${error.status} ${error.code}`;
    throw error;
  }
}

const OBS = readOffer('obs32-publish');
const CHROMIUM = readOffer('chromium-publish');
const VIEW = readOffer('chromium-view');
const GSTREAMER = readOffer('gstreamer128-publish-h264');
const VIDEO_ONLY = readOffer('ffmpeg9-publish-videoonly');

/** The text with another m-section at its end. */
function withSection(text: string, section: string): string {
  return `${text}${section.trim().replaceAll(/\n\s*/g, '\r\n')}\r\n`;
}

const SECOND_VIDEO = `
  m=video 9 UDP/TLS/RTP/SAVPF 97
  c=IN IP4 0.0.0.0
  a=mid:2
  a=sendonly
  a=rtcp-mux
  a=rtpmap:97 VP8/90000`;

describe('checkPublishOffer', () => {
  test.each(offerNames('publish'))('accepts %s', (name) => {
    expect(verdict(() => publish(readOffer(name)))).toBe('ok');
  });

  test.each([
    ['#96 recvonly', CHROMIUM.replaceAll('a=sendonly', 'a=recvonly'), '422 bad_direction'],
    ['#96 inactive', CHROMIUM.replaceAll('a=sendonly', 'a=inactive'), '422 bad_direction'],
    ['#96 one of two recvonly', CHROMIUM.replace('a=sendonly', 'a=recvonly'), '422 bad_direction'],
    ['#96 sendrecv', CHROMIUM.replaceAll('a=sendonly', 'a=sendrecv'), 'ok'],
    ['#96 unsaid, which means sendrecv', CHROMIUM.replaceAll('a=sendonly\r\n', ''), 'ok'],
    ['#98 no group, two sections', OBS.replace('a=group:BUNDLE 0 1\r\n', ''), '422 not_bundled'],
    ['#98 a section outside the group', OBS.replace('BUNDLE 0 1', 'BUNDLE 0'), '422 not_bundled'],
    ['#98 no group, one section', VIDEO_ONLY.replace('a=group:BUNDLE 1\r\n', ''), 'ok'],
    ['#98 FFmpeg 8.0: the group names an absent mid', VIDEO_ONLY.replace('BUNDLE 1', 'BUNDLE 0 1'), 'ok'],
    ['#98 OBS: LS group only', OBS.replace('a=group:BUNDLE 0 1\r\n', ''), '422 not_bundled'],
    ['#99 port 0 + bundle-only is live', GSTREAMER.replaceAll('a=sendonly', 'a=recvonly'), '422 bad_direction'],
    ['#99 port 0 alone is not', GSTREAMER.replace('a=bundle-only\r\n', ''), 'ok'],
    ['#100 no rtcp-mux', OBS.replaceAll('a=rtcp-mux\r\n', ''), '422 rtcp_mux_required'],
    [
      '#101 two videos',
      withSection(CHROMIUM.replace('BUNDLE 0 1', 'BUNDLE 0 1 2'), SECOND_VIDEO),
      '422 too_many_tracks',
    ],
    ['#101 two streams', OBS.replace('a=msid:70H9sXinGTHZWFae', 'a=msid:another'), '422 too_many_streams'],
    ['#101 no msid', OBS.replaceAll(/a=msid:.*\r\n/g, ''), 'ok'],
    ['#101 no track', OBS.slice(0, OBS.indexOf('m=')), '422 no_media'],
    ['#101 only rejected sections', OBS.replaceAll(/(m=\w+) 9/g, '$1 0'), '422 no_media'],
    ['#102 actpass', OBS, 'ok'],
    ['#102 active', readOffer('ffmpeg9-publish-active'), 'ok'],
    ['#102 passive', readOffer('ffmpeg9-publish-passive'), 'ok'],
    ['#102 holdconn', OBS.replaceAll('actpass', 'holdconn'), '400 bad_sdp'],
    ['#102 an unknown role', OBS.replaceAll('actpass', 'both'), '400 bad_sdp'],
    ['#102 no role', OBS.replaceAll('a=setup:actpass\r\n', ''), 'ok'],
    ['#105 no ICE credentials', OBS.replaceAll(/a=ice-(ufrag|pwd).*\r\n/g, ''), '400 bad_sdp'],
    ['#105 a short password', OBS.replaceAll(/a=ice-pwd.*\r\n/g, 'a=ice-pwd:short\r\n'), '400 bad_sdp'],
    ['#105 no fingerprint', OBS.replaceAll(/a=fingerprint.*\r\n/g, ''), '400 bad_sdp'],
    ['#105 a fingerprint of MD5', OBS.replaceAll(/sha-256 .*\r\n/g, 'md5 AA:BB\r\n'), '400 bad_sdp'],
    ['#112 a data channel beside', withSection(OBS, 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel\na=mid:9'), 'ok'],
    ['another kind beside', withSection(OBS, 'm=text 9 UDP/TLS/RTP/SAVPF 98\na=mid:9'), '422 unsupported_media'],
    ['plain RTP', OBS.replaceAll('UDP/TLS/RTP/SAVPF', 'RTP/AVP'), '422 unsupported_media'],
    ['an ICE-lite peer', OBS.replace('a=group:LS', 'a=ice-lite\r\na=group:LS'), '422 ice_lite'],
    ['any o= and s=', OBS.replace(/o=.*\r\n/, 'o=whoever\r\n').replace('s=-', 's= '), 'ok'],
    ['#108 nine layers', OBS.replace('a=msid:', `${'a=rid:x send\r\n'.repeat(9)}a=msid:`), '422 too_many_layers'],
    ['a bundle without mids', OBS.replaceAll(/a=mid.*\r\n/g, ''), '400 bad_sdp'],
  ])('%s', (_what, text, expected) => {
    expect(verdict(() => publish(text))).toBe(expected);
  });
});

describe('checkPlayOffer', () => {
  test.each(offerNames('view'))('accepts %s', (name) => {
    expect(verdict(() => play(readOffer(name)))).toBe('ok');
  });

  test.each([
    ['#113 sendonly', VIEW.replaceAll('a=recvonly', 'a=sendonly'), '422 bad_direction'],
    ['#113 inactive', VIEW.replaceAll('a=recvonly', 'a=inactive'), '422 bad_direction'],
    ['#113 sendrecv', VIEW.replaceAll('a=recvonly', 'a=sendrecv'), 'ok'],
    ['#115 not bundled', VIEW.replace('a=group:BUNDLE 0 1\r\n', ''), '422 not_bundled'],
    ['#115 no rtcp-mux', VIEW.replaceAll('a=rtcp-mux\r\n', ''), '422 rtcp_mux_required'],
    ['#116 a data channel beside', readOffer('chromium-view-datachannel'), 'ok'],
    ['#116 a data channel alone', VIEW.replaceAll(/m=(audio|video)/g, 'm=application'), '422 no_media'],
    ['#46 mDNS candidates only', readOffer('chromium-view-mdns'), 'ok'],
    ['#63 no candidates', VIEW.replaceAll(/a=candidate.*\r\n/g, ''), 'ok'],
  ])('%s', (_what, text, expected) => {
    expect(verdict(() => play(text))).toBe(expected);
  });
});
