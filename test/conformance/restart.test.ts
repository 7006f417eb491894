/** Group D of protocol.md: ICE restart over PATCH. What the media does meanwhile is tested with real clients. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { expectCors, expectEmpty, expectProblem } from './support/checks.ts';
import { fragment, type Peer, peerOf, restart } from './support/fragments.ts';
import { readSdp, value, values } from './support/sdp.ts';
import { patch, playIn, publishIn, type Session } from './support/sessions.ts';
import { type Call, callTo, type Reply } from './support/wire.ts';

let lenient: Vestibule;
let strict: Vestibule;
let call: Call;

beforeAll(async () => {
  [lenient, strict] = await Promise.all([startVestibule(), startVestibule({ env: { STRICT_PRECONDITIONS: '1' } })]);
});
afterAll(() => Promise.all([lenient.stop(), strict.stop()]));
beforeEach(() => {
  call = callTo(lenient.url);
});

const NEW = { ufrag: 'newer', pwd: 'newerNEWERnewerNEWERnewer' };
const KINDS = [
  ['publisher', async () => publishIn(call)],
  ['viewer', async () => playIn(call, (await publishIn(call)).room)],
] as const;

/** What a 200 to a restart must be (#65, #66, #74); returns the new tag. */
function expectRestarted(reply: Reply, session: Session, before: string): string {
  expect(reply.status, reply.body).toBe(200);
  expect(reply.header('Content-Type')).toBe('application/trickle-ice-sdpfrag');
  expect(reply.header('Cache-Control')).toBe('no-store');
  expect(reply.header('Location')).toBeNull();
  expectCors(reply);
  const etag = reply.header('ETag') ?? '';
  expect(etag).toMatch(/^"[\x21\x23-\x7e]+"$/);
  expect(etag).not.toBe(before);

  expect(reply.body).toMatch(/^(a=[^\r\n]+\r\n)+m=\w+ 9 UDP\/TLS\/RTP\/SAVPF 0\r\n(a=[^\r\n]+\r\n)+$/);
  for (const name of ['ice-ufrag', 'ice-pwd'])
    expect(reply.body.match(new RegExp(`^a=${name}:`, 'gm'))).toHaveLength(1);
  const ufrag = /a=ice-ufrag:(.*)\r\n/.exec(reply.body)?.[1] ?? '';
  const pwd = /a=ice-pwd:(.*)\r\n/.exec(reply.body)?.[1] ?? '';
  expect(ufrag).toMatch(/^[A-Za-z0-9+/]{4,256}$/);
  expect(pwd).toMatch(/^[A-Za-z0-9+/]{22,256}$/);
  expect(session.answer.text).not.toContain(`a=ice-ufrag:${ufrag}\r\n`);
  expect(session.answer.text).not.toContain(`a=ice-pwd:${pwd}\r\n`);

  const printed = readSdp(reply.body);
  const [section] = printed.sections;
  const attributes = section?.attributes ?? [];
  const tagged = session.answer.sections.find((one) => one.port !== 0)?.attributes ?? [];
  expect(value(attributes, 'mid')).toBe(value(tagged, 'mid'));
  expect(values(attributes, 'candidate')).toEqual(values(tagged, 'candidate'));
  expect(attributes.at(-1)).toBe('end-of-candidates');
  for (const name of ['ice-options', 'ice-pacing']) {
    expect(value(printed.session, name)).toBe(value(session.answer.session, name));
  }
  expect(printed.session.includes('ice-lite')).toBe(session.answer.session.includes('ice-lite'));
  return etag;
}

describe.each(KINDS)('a %s', (_kind, open) => {
  let session: Session;
  let peer: Peer;

  beforeEach(async () => {
    session = await open();
    peer = peerOf(session.offer);
  });

  async function restartWith(headers: Record<string, string>, body = restart(NEW)): Promise<Reply> {
    return call(session.location, patch(body, headers));
  }

  it.each([
    ['any', () => ({ 'If-Match': '*' })],
    ['any, quoted', () => ({ 'If-Match': '"*"' })],
    ['the tag', (tag: string) => ({ 'If-Match': tag })],
    ['the tag without quotes', (tag: string) => ({ 'If-Match': tag.slice(1, -1) })],
    ['no tag', () => ({})],
  ])('#64 #65 #66 #71 #74 restarts with %s', async (_name, headers) => {
    expectRestarted(await restartWith(headers(session.etag) as Record<string, string>), session, session.etag);
  });

  it.each([
    ['LF', restart(NEW).replaceAll('\r\n', '\n')],
    [
      'media level',
      'm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=ice-ufrag:newer\r\na=ice-pwd:newerNEWERnewerNEWERnewer\r\n',
    ],
    [
      'candidates',
      `${restart(NEW)}a=candidate:1 1 udp 1 192.0.2.1 5000 typ host ufrag newer\r\na=end-of-candidates\r\n`,
    ],
    ['credentials alone', 'a=ice-ufrag:newer\r\na=ice-pwd:newerNEWERnewerNEWERnewer\r\n'],
  ])('#64 #65 %s', async (_name, body) => {
    expectRestarted(await restartWith({ 'If-Match': '*' }, body), session, session.etag);
  });

  it('#67 #72 from then on the new tag and the new credentials count', async () => {
    const etag = expectRestarted(await restartWith({ 'If-Match': session.etag }), session, session.etag);
    const now = { ...peer, ...NEW };

    expectProblem(await call(session.location, patch(fragment(now), { 'If-Match': session.etag })), 412);
    expectProblem(await call(session.location, patch(fragment(peer), { 'If-Match': session.etag })), 412);
    expectEmpty(await call(session.location, patch(fragment(now), { 'If-Match': etag })), 204);
    expectEmpty(await call(session.location, patch(fragment(now), { 'If-Match': '*' })), 204);
    // And once more.
    const again = { ufrag: 'third', pwd: 'thirdTHIRDthirdTHIRDthird' };
    const next = expectRestarted(await restartWith({ 'If-Match': '*' }, restart(again)), session, etag);
    expect([session.etag, etag]).not.toContain(next);
  });

  it('#49 the same credentials with * are no restart', async () => {
    expectEmpty(await restartWith({ 'If-Match': '*' }, restart(peer)), 204);
    expectEmpty(await call(session.location, patch(fragment(peer), { 'If-Match': session.etag })), 204);
  });

  it('a late trickle of before the restart does not undo it', async () => {
    const etag = expectRestarted(await restartWith({ 'If-Match': '*' }), session, session.etag);

    expectEmpty(await call(session.location, patch(fragment(peer), { 'If-Match': '*' })), 204);
    expectEmpty(await call(session.location, patch(fragment({ ...peer, ...NEW }), { 'If-Match': etag })), 204);
  });

  it.each([
    ['a stale tag', '"stale"', restart(NEW), 412],
    ['only the ufrag', '*', 'a=ice-ufrag:newer\r\n', 400],
    ['only the pwd', '*', 'a=ice-pwd:newerNEWERnewerNEWERnewer\r\n', 400],
    ['a ufrag too short', '*', restart({ ...NEW, ufrag: 'abc' }), 400],
    ['a pwd too short', '*', restart({ ...NEW, pwd: 'short' }), 400],
    ['a ufrag with blanks', '*', restart({ ...NEW, ufrag: 'a b c d' }), 400],
  ])('#68 #73 %s: refused, and the session is as before', async (_name, field, body, status) => {
    expectProblem(await restartWith({ 'If-Match': field }, body), status);
    expectEmpty(await call(session.location, patch(fragment(peer), { 'If-Match': session.etag })), 204);
  });

  it.each(['ufrag', 'pwd'] as const)('#73 only the %s changed', async (name) => {
    expectProblem(await restartWith({ 'If-Match': '*' }, restart({ ...peer, [name]: NEW[name] })), 400);
    expectEmpty(await call(session.location, patch(fragment(peer), { 'If-Match': session.etag })), 204);
  });

  it('#57 twenty overlapping PATCHes with one restart among them leave one tag', async () => {
    const requests = Array.from({ length: 20 }, (_, at) =>
      at === 10 ? patch(restart(NEW), { 'If-Match': '*' }) : patch(fragment(peer), { 'If-Match': session.etag }),
    );
    const replies = await Promise.all(requests.map((request) => call(session.location, request)));

    const restarted = replies.filter((reply) => reply.status === 200);
    expect(restarted).toHaveLength(1);
    for (const reply of replies) {
      if (reply.status === 412) expectProblem(reply, 412);
      else if (reply.status !== 200) expectEmpty(reply, 204);
    }
    const [reply] = restarted;
    if (reply === undefined) throw new Error('unreachable');
    const etag = expectRestarted(reply, session, session.etag);
    expectEmpty(await call(session.location, patch(fragment({ ...peer, ...NEW }), { 'If-Match': etag })), 204);
    expectProblem(await call(session.location, patch(fragment(peer), { 'If-Match': session.etag })), 412);
  });

  it('#57 of twenty restarts under one tag one wins', async () => {
    const replies = await Promise.all(
      Array.from({ length: 20 }, (_, at) =>
        restartWith({ 'If-Match': session.etag }, restart({ ...NEW, ufrag: `race${at}`, pwd: `${NEW.pwd}${at}` })),
      ),
    );

    expect(replies.map((reply) => reply.status).sort()).toEqual([200, ...Array<number>(19).fill(412)]);
  });

  it('#51 #70 trickle and restart both work, so neither is 422', async () => {
    expectEmpty(await call(session.location, patch(fragment(peer), { 'If-Match': session.etag })), 204);
    expectRestarted(await restartWith({ 'If-Match': '*' }), session, session.etag);
    expectEmpty(await call(session.location, { method: 'DELETE' }), 200);
  });
});

it.each(['publisher', 'viewer'])(
  'strict: #47 #71 a restart of a %s needs a tag, * or the present one',
  async (kind) => {
    call = callTo(strict.url);
    const publisher = await publishIn(call);
    const session = kind === 'publisher' ? publisher : await playIn(call, publisher.room);

    expectProblem(await call(session.location, patch(restart(NEW))), 428);
    expectProblem(await call(session.location, patch(restart(NEW), { 'If-Match': '"stale"' })), 412);
    expectRestarted(await call(session.location, patch(restart(NEW), { 'If-Match': '*' })), session, session.etag);
  },
);
