/** The judge itself: it passes a good answer and sees each fault that is put into it. */
import { expect, it } from 'vitest';
import { answerFaults } from './answer-faults.ts';

const TRANSPORT = [
  'a=ice-ufrag:abcdefgh',
  'a=ice-pwd:abcdefghijklmnopqrstuvwx',
  `a=fingerprint:sha-256 ${'AB:'.repeat(31)}AB`,
];
const CANDIDATES = ['a=candidate:1 1 udp 2130706431 192.0.2.1 8840 typ host', 'a=end-of-candidates'];

function sdp(direction: string, setup: string, extra: readonly string[]): string {
  const lines = ['v=0', 'o=- 1 1 IN IP4 0.0.0.0', 's=-', 't=0 0', 'a=group:BUNDLE 0', 'a=ice-lite'];
  const media = ['m=video 9 UDP/TLS/RTP/SAVPF 96 97', 'c=IN IP4 0.0.0.0', 'a=mid:0', ...TRANSPORT, `a=setup:${setup}`];
  const formats = ['a=rtpmap:96 VP8/90000', 'a=rtcp-fb:96 nack', 'a=rtpmap:97 rtx/90000', 'a=fmtp:97 apt=96'];
  return `${[...lines, ...media, `a=${direction}`, 'a=rtcp-mux', ...formats, ...extra].join('\r\n')}\r\n`;
}

const EXTENSION = 'a=extmap:3 urn:ietf:params:rtp-hdrext:sdes:mid';
const OFFER = sdp('recvonly', 'actpass', [EXTENSION]);
const SENDER = [
  'a=msid:s s-video',
  'a=ssrc-group:FID 1 2',
  ...['a=ssrc:1 cname:c', 'a=ssrc:1 msid:s s-video', 'a=ssrc:2 cname:c', 'a=ssrc:2 msid:s s-video'],
];
const ANSWER = sdp('sendonly', 'passive', ['a=rtcp-mux-only', EXTENSION, ...SENDER, ...CANDIDATES]);

it('finds nothing in a good answer', () => {
  expect(answerFaults(OFFER, ANSWER, 'play')).toEqual([]);
});

it.each([
  ['LF', /\r\n/g, '\n'],
  ['a blank line', /\r\nc=/, '\r\n\r\nc='],
  ['no end of line', /\r\n$/, ''],
  ['another mid', 'a=mid:0', 'a=mid:1'],
  ['an empty group', 'a=group:BUNDLE 0\r\n', ''],
  ['a new payload type', 'SAVPF 96 97', 'SAVPF 96 98'],
  ['another codec', 'VP8/90000', 'VP9/90000'],
  ['new feedback', 'a=rtcp-fb:96 nack', 'a=rtcp-fb:96 nack pli'],
  ['an extension that was not offered', 'extmap:3', 'extmap:4'],
  ['setup:actpass', 'a=setup:passive', 'a=setup:actpass'],
  ['setup:active', 'a=setup:passive', 'a=setup:active'],
  ['recvonly', 'a=sendonly', 'a=recvonly'],
  ['no rtcp-mux-only', 'a=rtcp-mux-only\r\n', ''],
  ['no rtcp-mux', 'a=rtcp-mux\r\n', ''],
  ['no end of candidates', 'a=end-of-candidates\r\n', ''],
  ['a TCP candidate', '1 udp', '1 tcp'],
  ['a reflexive candidate', 'typ host', 'typ srflx'],
  ['an IPv6 candidate first', '192.0.2.1', '2001:db8::1'],
  ['no candidate', /a=candidate.*\r\n/, ''],
  ['no ice-lite', 'a=ice-lite\r\n', ''],
  ['no credentials', 'a=ice-pwd:abcdefghijklmnopqrstuvwx\r\n', ''],
  ['no fingerprint', /a=fingerprint.*\r\n/, ''],
  ['an undeclared member of FID', /a=ssrc:2 .*\r\n/g, ''],
  ['no msid', 'a=msid:s s-video\r\n', ''],
  ['a rejected m-line that stays in the group', 'm=video 9', 'm=video 0'],
  ['an m-line too many', /$/, 'm=audio 0 UDP/TLS/RTP/SAVPF 0\r\n'],
])('finds %s', (_name, pattern, replacement) => {
  const answer = ANSWER.replace(pattern, replacement);

  expect(answer).not.toBe(ANSWER);
  expect(answerFaults(OFFER, answer, 'play')).not.toEqual([]);
});
