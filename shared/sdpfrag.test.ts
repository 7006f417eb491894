import { describe, expect, test } from 'vitest';
import { ProblemError } from './errors.ts';
import { parseFragment, printFragment, restartCredentials } from './sdpfrag.ts';

const CURRENT = { ufrag: 'EsAw', pwd: 'P2uYro0UCOQ4zxjKXaWCBui1' };
const NEXT = { ufrag: 'ysXw', pwd: 'vw5LmwG4y/e6dPP/zAP9Gp5k' };
const HOST = 'candidate:1387637174 1 udp 2122260223 192.0.2.1 61764 typ host generation 0 ufrag EsAw network-id 1';
const credentials = ({ ufrag, pwd }: typeof CURRENT) => `a=ice-ufrag:${ufrag}\r\na=ice-pwd:${pwd}\r\n`;

function problemOf(run: () => unknown): string {
  try {
    run();
    return 'ok';
  } catch (error) {
    if (error instanceof ProblemError) return `${error.status} ${error.code}`;
    throw error;
  }
}

describe('parseFragment', () => {
  test('#53 reads credentials, m-lines, mids, candidates and their end', () => {
    const fragment = parseFragment(
      `a=group:BUNDLE 0 1\r\n${credentials(CURRENT)}m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=${HOST}\r\na=end-of-candidates\r\n`,
    );

    expect(fragment.ice).toEqual(CURRENT);
    expect(fragment.sections[1]).toMatchObject({
      mid: '0',
      endOfCandidates: true,
      candidates: [{ address: '192.0.2.1', port: 61764, transport: 'udp', type: 'host', ufrag: 'EsAw' }],
    });
  });

  test('#53 credentials may stand at media level', () => {
    const fragment = parseFragment(`m=audio 9 RTP/AVP 0\r\na=mid:0\r\n${credentials(NEXT)}`);

    expect(fragment.ice).toEqual(NEXT);
  });

  test.each([
    ['LF', `${credentials(CURRENT)}m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=${HOST}\r\n`.replaceAll('\r\n', '\n')],
    ['no last line end', `a=${HOST}`],
    ['a video mid under m=audio', `m=audio 9 RTP/AVP 0\r\na=mid:1\r\na=${HOST}\r\n`],
    [
      'the same candidate under two mids (Eyevinn)',
      `m=audio 9 RTP/AVP 0\na=mid:0\na=${HOST}\nm=audio 9 RTP/AVP 0\na=mid:1\na=${HOST}\n`,
    ],
    ['component 0 (Eyevinn)', `m=audio 9 RTP/AVP 0\na=mid:0\na=${HOST.replace(' 1 udp', ' 0 udp')}\n`],
    ['unknown attributes', `a=whatever:x\na=${HOST}\n`],
    ['no mid', `m=audio 9 RTP/AVP 0\na=${HOST}\n`],
    ['candidates before any m-line', `a=${HOST}\n`],
    ['an unknown mid', `m=audio 9 RTP/AVP 0\na=mid:zz\na=${HOST}\n`],
    ['#46 tcp', `a=candidate:1 1 tcp 1518280447 192.0.2.10 9 typ host tcptype active\n`],
    ['#46 mDNS', `a=candidate:1 1 udp 2113937151 fceaa6be.local 42235 typ host\n`],
    ['#46 FQDN', `a=candidate:1 1 udp 2113937151 host.example.com 42235 typ host\n`],
    ['#54 the same candidate twice', `a=${HOST}\na=${HOST}\n`],
    ['#56 the end only', 'a=end-of-candidates\n'],
    ['a browser’s empty last candidate', `m=audio 9 RTP/AVP 0\na=mid:0\na=candidate:\n`],
    ['the same, without the name', `a=${HOST}\na=\n`],
    ['whole SDP lines in it', `v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nt=0 0\na=${HOST}\n`],
  ])('#53a accepts %s', (_what, text) => {
    expect(problemOf(() => parseFragment(text))).toBe('ok');
  });

  test.each([
    ['nothing', ''],
    ['blank lines', '\r\n\r\n'],
    ['prose', 'not a fragment'],
    ['lines that mean nothing here', 's=-\r\nt=0 0\r\n'],
    ['a malformed candidate', 'a=candidate:garbage\r\n'],
    ['a candidate with a port beyond', 'a=candidate:1 1 udp 1 192.0.2.1 99999 typ host\r\n'],
    ['#73 ufrag alone', `a=ice-ufrag:${NEXT.ufrag}\r\n`],
    ['#73 pwd alone', `a=ice-pwd:${NEXT.pwd}\r\n`],
    ['a short ufrag', credentials({ ...NEXT, ufrag: 'a' })],
    ['a short pwd', credentials({ ...NEXT, pwd: 'short' })],
    ['broken JSON', '{"candidate":'],
    ['JSON without a candidate', '{"foo":1}'],
    ['JSON with a malformed candidate', '{"candidate":"candidate:x"}'],
    ['many m-lines', 'm=audio 9 RTP/AVP 0\n'.repeat(200)],
    ['control characters', 'a=ice\u0000\n'],
  ])('#44 refuses %s', (_what, text) => {
    expect(problemOf(() => parseFragment(text))).toBe('400 bad_fragment');
  });

  test('reads the JSON of react-native-whip-whep', () => {
    const json = JSON.stringify({ candidate: HOST, sdpMLineIndex: 0, sdpMid: '0', usernameFragment: 'EsAw' });

    const fragment = parseFragment(json);

    expect(fragment.sections[0]).toMatchObject({ mid: '0', candidates: [{ address: '192.0.2.1', ufrag: 'EsAw' }] });
    expect(restartCredentials(fragment, CURRENT)).toBeNull();
  });
});

describe('restartCredentials', () => {
  test.each([
    ['#64 both changed: a restart', NEXT, NEXT],
    ['#49 unchanged: a trickle', CURRENT, null],
  ])('%s', (_what, ice, expected) => {
    expect(restartCredentials(parseFragment(credentials(ice)), CURRENT)).toEqual(expected);
  });

  test('no credentials: a trickle', () => {
    expect(restartCredentials(parseFragment(`a=${HOST}`), CURRENT)).toBeNull();
  });

  test.each([
    ['ufrag', { ...CURRENT, ufrag: NEXT.ufrag }],
    ['pwd', { ...CURRENT, pwd: NEXT.pwd }],
  ])('#73 only %s changed is 400', (_what, ice) => {
    expect(problemOf(() => restartCredentials(parseFragment(credentials(ice)), CURRENT))).toBe('400 bad_fragment');
  });
});

describe('printFragment', () => {
  const printed = printFragment({
    ice: NEXT,
    iceLite: true,
    iceOptions: ['trickle'],
    mids: ['0', '1'],
    candidates: ['1 1 udp 2130706431 198.51.100.1 39132 typ host'],
  });

  test('#74 CRLF on every line, one ufrag and pwd, candidates and their end under the tagged m-line', () => {
    expect(printed.endsWith('\r\n')).toBe(true);
    expect(printed.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(printed.match(/a=ice-ufrag:(.*)\r\n/)?.[1]).toBe(NEXT.ufrag);
    expect(printed.match(/a=ice-(ufrag|pwd)/g)).toHaveLength(2);
    expect(printed.indexOf('a=candidate')).toBeGreaterThan(printed.indexOf('a=mid:0'));
    expect(printed).not.toContain('a=mid:1');
  });

  test('#66 says ice-lite and the ice-options of the answer', () => {
    expect(printed).toContain('a=ice-lite\r\n');
    expect(printed).toContain('a=ice-options:trickle\r\n');
  });

  test('parses back', () => {
    const fragment = parseFragment(printed);

    expect(fragment.ice).toEqual(NEXT);
    expect(fragment.sections[1]).toMatchObject({ mid: '0', endOfCandidates: true });
  });
});
