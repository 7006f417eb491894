import { describe, expect, it } from 'vitest';
import {
  buildFragment,
  iceCredentials,
  parseFragment,
  withIceRestart,
  withOpusParameters,
  withVideoStartBitrate,
} from './sdp.ts';

/** From an offer of Chromium 153, shortened. */
const view = [
  'v=0',
  'o=- 8043580888639622421 2 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0 1',
  'm=audio 37446 UDP/TLS/RTP/SAVPF 111 63 8',
  'a=ice-ufrag:zywf',
  'a=ice-pwd:hziySTvbYy488rZPfC1sEz2e',
  'a=mid:0',
  'a=rtpmap:111 opus/48000/2',
  'a=rtcp-fb:111 transport-cc',
  'a=fmtp:111 minptime=10;useinbandfec=1',
  'a=rtpmap:63 red/48000/2',
  'a=fmtp:63 111/111',
  'a=rtpmap:8 PCMA/8000',
  'm=video 9 UDP/TLS/RTP/SAVPF 96 97',
  'a=mid:1',
  'a=rtpmap:96 VP8/90000',
  'a=rtpmap:97 rtx/90000',
  'a=fmtp:97 apt=96',
  '',
].join('\r\n');

const answer = [
  'v=0',
  'o=- 1 1 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'a=group:BUNDLE 0 1',
  'a=ice-lite',
  'm=application 0 UDP/DTLS/SCTP webrtc-datachannel',
  'a=mid:2',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:0',
  'a=ice-ufrag:old',
  'a=ice-pwd:oldoldoldoldoldoldoldo',
  'a=candidate:1 1 udp 1 192.0.2.1 9 typ host',
  'a=end-of-candidates',
  'a=sendonly',
  'm=video 9 UDP/TLS/RTP/SAVPF 96',
  'a=mid:1',
  'a=ice-ufrag:old',
  'a=ice-pwd:oldoldoldoldoldoldoldo',
  'a=sendonly',
  '',
].join('\r\n');

describe('buildFragment', () => {
  it('carries credentials, the tagged section and its candidates, in CRLF lines', () => {
    const fragment = buildFragment(view, {
      ufrag: 'ufr1',
      pwd: 'password0password0password',
      candidates: ['candidate:1 1 udp 2122260223 192.0.2.10 37446 typ host'],
      endOfCandidates: true,
    });
    expect(fragment.split('\r\n')).toEqual([
      'a=group:BUNDLE 0 1',
      'a=ice-options:trickle',
      'a=ice-ufrag:ufr1',
      'a=ice-pwd:password0password0password',
      'm=audio 9 UDP/TLS/RTP/SAVPF 0',
      'a=mid:0',
      'a=candidate:1 1 udp 2122260223 192.0.2.10 37446 typ host',
      'a=end-of-candidates',
      '',
    ]);
  });

  it('is read back by parseFragment', () => {
    const fragment = { ufrag: 'a', pwd: 'b', candidates: ['candidate:x', 'candidate:y'], endOfCandidates: false };
    expect(parseFragment(buildFragment(view, fragment))).toEqual(fragment);
  });
});

describe('parseFragment', () => {
  it.each(['', 'a=ice-ufrag:x\r\n', 'a=ice-pwd:x\r\n'])('is null without both credentials: %j', (text) => {
    expect(parseFragment(text)).toBeNull();
  });

  it('takes LF as well as CRLF', () => {
    expect(parseFragment('a=ice-ufrag:x\na=ice-pwd:y\na=end-of-candidates\n')).toEqual({
      ufrag: 'x',
      pwd: 'y',
      candidates: [],
      endOfCandidates: true,
    });
  });
});

describe('withIceRestart', () => {
  const restarted = withIceRestart(answer, {
    ufrag: 'new',
    pwd: 'newnewnewnewnewnewnewn',
    candidates: ['candidate:2 1 udp 1 192.0.2.2 9 typ host'],
    endOfCandidates: true,
  });

  it('changes credentials in every live section and nothing else', () => {
    const ice = /^a=(ice-ufrag|ice-pwd|candidate|end-of-candidates)/;
    const rest = (sdp: string) => sdp.split('\r\n').filter((line) => !ice.test(line));
    expect(rest(restarted)).toEqual(rest(answer));
    expect(restarted.match(/a=ice-ufrag:new\r\n/g)).toHaveLength(2);
    expect(restarted).not.toContain('old');
  });

  it('puts candidates into the first live section only', () => {
    const sections = restarted.split(/(?=^m=)/m);
    expect(sections.map((section) => section.includes('a=candidate:2 '))).toEqual([false, false, true, false]);
    expect(iceCredentials(sections[1] ?? '')).toBeNull();
  });

  it('treats port 0 with bundle-only as live', () => {
    const bundled = answer.replace('m=video 9', 'm=video 0').replace('a=mid:1', 'a=mid:1\r\na=bundle-only');
    const fragment = { ufrag: 'new', pwd: 'p', candidates: [], endOfCandidates: false };
    expect(withIceRestart(bundled, fragment).match(/a=ice-ufrag:new/g)).toHaveLength(2);
  });
});

describe('withOpusParameters', () => {
  it('adds to the format that is there and leaves all other lines alone', () => {
    const munged = withOpusParameters(view, { stereo: '1' });
    expect(munged).toContain('a=fmtp:111 minptime=10;useinbandfec=1;stereo=1\r\n');
    const others = (sdp: string) => sdp.split(/\r?\n/).filter((line) => !line.startsWith('a=fmtp:111'));
    expect(others(munged)).toEqual(others(view));
  });

  it('keeps a value that is there', () => {
    const once = withOpusParameters(view.replace('minptime=10', 'stereo=0'), { stereo: '1' });
    expect(once).toContain('a=fmtp:111 stereo=0;useinbandfec=1\r\n');
  });

  it('adds the line where a client sent none, in whatever case it writes opus', () => {
    const bare = 'm=audio 9 RTP/AVP 96\r\na=rtpmap:96 OPUS/48000/2\r\n';
    expect(withOpusParameters(bare, { stereo: '1' })).toBe(
      'm=audio 9 RTP/AVP 96\r\na=rtpmap:96 OPUS/48000/2\r\na=fmtp:96 stereo=1\r\n',
    );
  });
});

describe('withVideoStartBitrate', () => {
  it('reaches every video codec, with or without parameters of its own, and nothing else', () => {
    const munged = withVideoStartBitrate(
      'm=audio 9 x 111\r\na=rtpmap:111 opus/48000/2\r\nm=video 9 x 96 97 102\r\na=rtpmap:96 VP8/90000\r\n' +
        'a=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\na=rtpmap:102 H264/90000\r\na=fmtp:102 packetization-mode=1\r\n',
      1_500_000,
    );
    expect(munged.match(/a=fmtp:.*/g)).toEqual([
      'a=fmtp:96 x-google-start-bitrate=1500',
      'a=fmtp:97 apt=96',
      'a=fmtp:102 packetization-mode=1;x-google-start-bitrate=1500',
    ]);
  });
});

it('an ICE restart of a session that the server offered makes an answer of its offer', () => {
  const offer =
    'v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=setup:actpass\r\na=ice-ufrag:old\r\na=ice-pwd:x\r\n';

  const answer = withIceRestart(offer, { ufrag: 'new', pwd: 'y', candidates: [], endOfCandidates: false });

  expect(answer).toContain('a=setup:passive\r\n');
  expect(answer).toContain('a=ice-ufrag:new\r\n');
  expect(answer).not.toContain('actpass');
});
