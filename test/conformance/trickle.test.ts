/** Group C of protocol.md: PATCH with candidates, lenient and strict. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readOffer } from '../support/recorded-offers.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { expectEmpty, expectProblem } from './support/checks.ts';
import { CLIENT_PATCHES, fragment, type Peer, peerOf } from './support/fragments.ts';
import { freshRoom, PLAY_OFFER, patch, playIn, publishIn, type Session } from './support/sessions.ts';
import { type Call, callTo } from './support/wire.ts';

let lenient: Vestibule;
let strict: Vestibule;
let call: Call;

beforeAll(async () => {
  [lenient, strict] = await Promise.all([startVestibule(), startVestibule({ env: { STRICT_PRECONDITIONS: '1' } })]);
});
afterAll(() => Promise.all([lenient.stop(), strict.stop()]));

const CANDIDATE = 'candidate:1 1 udp 2122260223 192.0.2.33 61764 typ host';

/** Sessions of both kinds, and one whose mids are words. */
const KINDS = [
  ['publisher', async () => publishIn(call)],
  ['viewer', async () => playIn(call, (await publishIn(call)).room)],
  ['GStreamer publisher', async () => publishIn(call, freshRoom(), readOffer('gstreamer128-publish-h264'))],
] as const;

describe.each(KINDS)('a %s', (_kind, open) => {
  let session: Session;
  let peer: Peer;

  beforeEach(async () => {
    call = callTo(lenient.url);
    session = await open();
    peer = peerOf(session.offer);
  });

  /** 204, and nothing has changed: the tag still holds. */
  async function trickles(body: string, headers: Record<string, string> = { 'If-Match': session.etag }): Promise<void> {
    const reply = await call(session.location, patch(body, headers));
    expectEmpty(reply, 204);
    expect(reply.header('ETag')).toBeNull();
    expect(reply.header('Content-Type')).toBeNull();
    expectEmpty(await call(session.location, patch(fragment(peer), { 'If-Match': session.etag })), 204);
  }

  it.each(CLIENT_PATCHES)('#45 #47 #49 #50 #53 $client', async ({ body, headers }) => {
    await trickles(body(peer), headers(session.etag));
  });

  it('#45 the example of the RFC', () => trickles(fragment(peer)));

  it.each([
    'application/trickle-ice-sdpfrag;charset=utf-8',
    'APPLICATION/TRICKLE-ICE-SDPFRAG',
    'application/trickle-ice-sdpfrag ; x=1',
  ])('#2 #43 media type %j', (type) => trickles(fragment(peer), { 'Content-Type': type, 'If-Match': session.etag }));

  it.each(['text/plain', 'application/json', 'application/sdpfrag', 'application/trickle-ice-sdpfragx', ''])(
    '#43 media type %j is 415',
    async (type) => {
      const reply = await call(session.location, patch(fragment(peer), { 'Content-Type': type }));
      expectProblem(reply, 415);
      expect(reply.list('Accept-Patch')).toContain('application/trickle-ice-sdpfrag');
    },
  );

  it('#43 no media type is 415', async () => {
    expectProblem(await call(session.location, { method: 'PATCH', body: fragment(peer) }), 415);
    expectProblem(await call(session.location, { method: 'PATCH' }), 415);
  });

  it.each([
    ['nothing', ''],
    ['a blank', ' '],
    ['text', 'hello'],
    ['broken JSON', '{"candidate":'],
    ['JSON of another kind', '{"candidates":[]}'],
    ['JSON with a broken candidate', '{"candidate":"nonsense","sdpMid":"0"}'],
    ['a candidate without address', 'a=mid:0\r\na=candidate:1 1 udp\r\n'],
    ['a candidate with a port of letters', 'a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 port typ host\r\n'],
    ['a candidate without type', 'a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000\r\n'],
    ['a line without =', 'a=mid:0\r\nnonsense\r\n'],
    ['NUL', 'a=mid:0\0\r\n'],
    ['HTML', '<html></html>'],
  ])('#44 %s is 400', async (_body, body) => {
    expectProblem(await call(session.location, patch(body, { 'If-Match': session.etag })), 400);
    await trickles(fragment(peer));
  });

  it('#44 bytes that are not UTF-8 are 400, a body too long is 413', async () => {
    const bytes = Buffer.from([0x61, 0x3d, 0xff, 0xfe]);
    expectProblem(await call(session.location, { ...patch(null), body: bytes }), 400);
    expectProblem(await call(session.location, patch(`${fragment(peer)}${'a=x\r\n'.repeat(15_000)}`)), 413);
  });

  it.each([
    ['TCP', [CANDIDATE.replace('udp', 'tcp').replace('61764', '9')]],
    ['mDNS', [CANDIDATE.replace('192.0.2.33', '1f0a9d5e-5a1c-4c3c-9a11-aaaaaaaaaaaa.local')]],
    ['a name', [CANDIDATE.replace('192.0.2.33', 'host.example.org')]],
    ['IPv6', [CANDIDATE.replace('192.0.2.33', '2001:db8::33'), CANDIDATE.replace('192.0.2.33', 'fe80::1')]],
    ['an unknown transport', [CANDIDATE.replace('udp', 'sctp')]],
    [
      'all of them and a good one',
      [CANDIDATE.replace('udp', 'TCP'), CANDIDATE.replace('192.0.2.33', 'x.local'), CANDIDATE],
    ],
    ['extensions', [`${CANDIDATE} raddr 10.0.0.1 rport 9 tcptype active generation 0 network-id 3 network-cost 10`]],
    ['an address that is nowhere', [CANDIDATE.replace('192.0.2.33', '0.0.0.0'), CANDIDATE.replace('61764', '0')]],
  ])('#46 candidates: %s', (_name, candidates) => trickles(fragment(peer, candidates)));

  it.each([
    ['LF', (text: string) => text.replaceAll('\r\n', '\n')],
    ['no last line end', (text: string) => text.trimEnd()],
    ['empty lines', (text: string) => text.replaceAll('\r\n', '\r\n\r\n')],
    ['another kind of m-line', (text: string) => text.replace('m=audio 9 UDP/TLS/RTP/SAVPF 0', 'm=video 9 RTP/AVP 0')],
    ['real payload types', (text: string) => text.replace('SAVPF 0', 'SAVPF 111 63 9')],
    ['no mid', (text: string) => text.replace(/a=mid:.*\r\n/, '')],
    ['no m-line', (text: string) => text.replace(/m=.*\r\n/, '')],
    ['an unknown mid', (text: string) => text.replace(/a=mid:.*/, 'a=mid:nobody')],
    [
      'credentials at the media level',
      (text: string) => text.replace(/(a=ice-ufrag.*\r\na=ice-pwd.*\r\n)(m=.*\r\n)/, '$2$1'),
    ],
    ['no credentials', (text: string) => text.replace(/a=ice-(ufrag|pwd):.*\r\n/g, '')],
    ['no group', (text: string) => text.replace(/a=group.*\r\n/, '')],
    [
      'unknown attributes',
      (text: string) => `a=ice-pacing:50\r\na=ice-lite\r\na=ice-options:trickle ice2\r\na=x:y\r\n${text}`,
    ],
    ['a whole description around it', (text: string) => `v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n${text}`],
    ['component 0', (text: string) => text.replace(' 1 udp', ' 0 udp')],
    ['an empty last candidate', (text: string) => text.replace('a=end-of-candidates', 'a=candidate:')],
    ['a group of other mids', (text: string) => text.replace(/a=group.*/, 'a=group:BUNDLE 7 8')],
  ])('#53 #53a %s', (_name, change) => trickles(change(fragment(peer))));

  it('#54 #56 again, and after the end of candidates', async () => {
    for (let time = 0; time < 3; time++) await trickles(fragment(peer));
    await trickles(fragment(peer, [CANDIDATE.replace('61764', '61765')]));
    await trickles('a=end-of-candidates\r\n');
  });

  it('#55 candidates of another ICE generation', async () => {
    await trickles(fragment(peer, [`${CANDIDATE} ufrag older`]));
  });

  it.each([
    ['the tag', (tag: string) => tag],
    ['any', () => '*'],
    ['any, quoted', () => '"*"'],
    ['a list', (tag: string) => `"other", ${tag}`],
    ['a list without blanks', (tag: string) => `"a","b,c",${tag},"d"`],
    ['without quotes', (tag: string) => tag.slice(1, -1)],
    ['weakened', (tag: string) => `W/${tag}`],
    ['with blanks around', (tag: string) => `  ${tag} `],
  ])('#48 #49 #50 If-Match: %s', (_name, field) => trickles(fragment(peer), { 'If-Match': field(session.etag) }));

  it.each(['"other"', 'other', 'W/"other"', '"a", "b"', '""', '"', ',', '"*x"'])(
    '#48 If-Match: %s is 412',
    async (field) => {
      expectProblem(await call(session.location, patch(fragment(peer), { 'If-Match': field })), 412);
      await trickles(fragment(peer));
    },
  );

  it('#57 many at once', async () => {
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        call(
          session.location,
          patch(fragment(peer, [CANDIDATE.replace('61764', `${5000 + at}`)]), { 'If-Match': session.etag }),
        ),
      ),
    );
    for (const reply of replies) expectEmpty(reply, 204);
  });

  it('#83 #86 GET, HEAD, and methods that it does not have', async () => {
    expectEmpty(await call(session.location), 200);
    expectEmpty(await call(session.location, { method: 'HEAD' }), 200);
    for (const method of ['POST', 'PUT', 'TRACE']) {
      const reply = await call(session.location, { method });
      expectProblem(reply, 405);
      expect(reply.list('Allow').sort()).toEqual(['delete', 'get', 'head', 'options', 'patch']);
    }
    expect((await call(session.location, { method: 'PROPFIND' })).status).toBe(501);
  });

  it('#76 #77 #79 DELETE is 200 without content, whatever If-Match says, and 404 the second time', async () => {
    const reply = await call(session.location, { method: 'DELETE', headers: { 'If-Match': '"stale"' } });

    expectEmpty(reply, 200);
    expectProblem(await call(session.location, { method: 'DELETE' }), 404);
  });

  it('#76 DELETE may have a body and a media type', async () => {
    const headers = { 'Content-Type': 'application/sdp' };
    expectEmpty(await call(session.location, { method: 'DELETE', headers, body: PLAY_OFFER }), 200);
  });

  it('#61 #124 #131 an answer that nobody awaits', async () => {
    const reply = await call(session.location, patch(session.offer, { 'Content-Type': 'application/sdp' }));

    if (_kind === 'viewer') expectProblem(reply, 422);
    else {
      expectProblem(reply, 415);
      expect(reply.header('Accept-Patch')).toBe('application/trickle-ice-sdpfrag');
    }
    await trickles(fragment(peer));
  });
});

describe('strict preconditions', () => {
  it.each(['publisher', 'viewer'])('#47 #48 #49 #50 %s', async (kind) => {
    call = callTo(strict.url);
    const publisher = await publishIn(call);
    const session = kind === 'publisher' ? publisher : await playIn(call, publisher.room);
    const peer = peerOf(session.offer);
    const tag = session.etag;
    const status = async (headers: Record<string, string>): Promise<number> => {
      const reply = await call(session.location, patch(fragment(peer), headers));
      if (reply.status !== 204) expectProblem(reply, [412, 428]);
      return reply.status;
    };

    expect(await status({})).toBe(428);
    expect(await status({ ETag: tag })).toBe(428);
    expect(await status({ 'If-Match': '"other"' })).toBe(412);
    expect(await status({ 'If-Match': tag.slice(1, -1) })).toBe(204);
    expect(await status({ 'If-Match': `W/${tag}` })).toBe(412);
    expect(await status({ 'If-Match': tag })).toBe(204);
    expect(await status({ 'If-Match': `"a", ${tag}` })).toBe(204);
    expect(await status({ 'If-Match': '*' })).toBe(204);
    expect(await status({ 'If-Match': '"*"' })).toBe(204);
    expectEmpty(await call(session.location, { method: 'DELETE' }), 200);
  });
});
