import { describe, expect, test } from 'vitest';
import { offerNames, readOffer } from '../../test/support/recorded-offers.ts';
import { ProblemError } from '../errors.ts';
import { checkJoinOffer, checkListenOffer, MAX_MEMBER_TRACKS } from './member-offer-rules.ts';
import { parseSdp } from './parse.ts';

function verdict(check: typeof checkJoinOffer, text: string): string {
  try {
    check(parseSdp(text));
    return 'ok';
  } catch (error) {
    if (error instanceof ProblemError) return `${error.status} ${error.code}`;
    throw error;
  }
}

const TRANSPORT = [
  'c=IN IP4 0.0.0.0',
  'a=ice-ufrag:cliu',
  'a=ice-pwd:clientpasswordclientpw01',
  `a=fingerprint:sha-256 ${Array.from({ length: 32 }, () => 'AB').join(':')}`,
  'a=setup:actpass',
];
const CHANNEL = 'm=application 9 UDP/DTLS/SCTP webrtc-datachannel';

/** An offer of these sections: a direction, a kind and a MediaStream, or a data channel. */
function offerOf(sections: string[]): string {
  const mids = sections.map((_, mid) => mid).join(' ');
  const lines = sections.flatMap((section, mid) => {
    if (section === 'channel') return [CHANNEL, `a=mid:${mid}`, 'a=sctp-port:5000', ...TRANSPORT];
    const [direction, kind, stream] = section.split(' ');
    const head = [`m=${kind} 9 UDP/TLS/RTP/SAVPF 96`, `a=mid:${mid}`, 'a=rtcp-mux', `a=${direction}`];
    const msid = stream === undefined ? [] : [`a=msid:${stream} track-${mid}`];
    return [...head, `a=rtpmap:96 ${kind === 'audio' ? 'opus/48000/2' : 'VP8/90000'}`, ...msid, ...TRANSPORT];
  });
  // `c=` belongs right behind the m-line.
  const ordered = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0', `a=group:BUNDLE ${mids}`, ...lines];
  return `${ordered.join('\r\n')}\r\n`;
}

const camera = (stream: string) => [`sendonly audio ${stream}`, `sendonly video ${stream}`];

describe('checkJoinOffer', () => {
  test.each(offerNames('publish'))('accepts %s', (name) => {
    expect(verdict(checkJoinOffer, readOffer(name))).toBe('ok');
  });

  test.each([
    ['a data channel alone', ['channel'], 'ok'],
    ['tracks and a data channel', [...camera('a'), 'channel'], 'ok'],
    ['camera and screen', [...camera('a'), ...camera('b'), 'channel'], 'ok'],
    ['two videos of one stream', ['sendonly video a', 'sendonly video a'], '422 too_many_tracks'],
    ['tracks without a stream', ['sendonly video', 'sendonly video -'], 'ok'],
    ['an unused transceiver', ['inactive video', 'channel'], 'ok'],
    ['something to receive', ['recvonly video', 'channel'], '422 bad_direction'],
    ['as many tracks as may be', Array.from({ length: MAX_MEMBER_TRACKS }, (_, i) => `sendonly video s${i}`), 'ok'],
    [
      'one more',
      Array.from({ length: MAX_MEMBER_TRACKS + 1 }, (_, i) => `sendonly video s${i}`),
      '422 too_many_tracks',
    ],
    ['text', ['sendonly text a'], '422 unsupported_media'],
    ['nothing', [], '400 bad_sdp'],
  ])('%s', (_name, sections, expected) => {
    expect(verdict(checkJoinOffer, offerOf(sections))).toBe(expected);
  });

  test.each([
    ['no ICE', offerOf(['channel']).replaceAll(/a=ice-.*\r\n/g, ''), '400 bad_sdp'],
    ['no fingerprint', offerOf(['channel']).replaceAll(/a=fingerprint.*\r\n/g, ''), '400 bad_sdp'],
    ['ICE-lite', offerOf(['channel']).replace('t=0 0\r\n', 't=0 0\r\na=ice-lite\r\n'), '422 ice_lite'],
    ['a rejected data channel alone', offerOf(['channel']).replace('application 9', 'application 0'), '422 no_media'],
    ['not bundled', offerOf(camera('a')).replace('BUNDLE 0 1', 'BUNDLE 0'), '422 not_bundled'],
  ])('%s', (_name, text, expected) => {
    expect(verdict(checkJoinOffer, text)).toBe(expected);
  });
});

describe('checkListenOffer', () => {
  test.each(offerNames('view'))('accepts %s', (name) => {
    expect(verdict(checkListenOffer, readOffer(name))).toBe('ok');
  });

  test.each([
    ['a data channel alone', ['channel'], 'ok'],
    ['many to receive', ['recvonly audio', 'recvonly video', 'recvonly video', 'channel'], 'ok'],
    ['something to send', ['sendonly video a', 'channel'], '422 bad_direction'],
  ])('%s', (_name, sections, expected) => {
    expect(verdict(checkListenOffer, offerOf(sections))).toBe(expected);
  });
});
