/** Requests that nobody sends by mistake: every one gets an answer of ours or a closed connection, and nothing breaks. */
import { createHash } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { expectEmpty, expectProblem } from './support/checks.ts';
import { freshRoom, PLAY_OFFER, PUBLISH_OFFER, patch, playIn, post, publishIn } from './support/sessions.ts';
import { type Call, callTo, openBytes, sendBytes } from './support/wire.ts';

let server: Vestibule;
let call: Call;

beforeAll(async () => {
  server = await startVestibule();
  call = callTo(server.url);
});
afterAll(async () => {
  expect(server.log).not.toMatch(/unexpected error|unhandled/i);
  expect(server.outcome).toBeNull();
  await server.stop();
});

/** Pseudo-random numbers below 2³², the same at every run. */
function* numbers(seed: string): Generator<number, never> {
  for (let turn = 0; ; turn++) yield createHash('sha256').update(`${seed}${turn}`).digest().readUInt32BE();
}

describe('slow and broken requests', () => {
  it('bodies that never come hold up nobody', async () => {
    const room = freshRoom();
    const head = `POST /api/whip/publish/${room} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n`;
    const open = [
      ...Array.from({ length: 20 }, () => openBytes(server.url, `${head}Content-Length: 5000\r\n\r\nv=0\r\n`)),
      ...Array.from({ length: 20 }, () =>
        openBytes(server.url, `${head}Transfer-Encoding: chunked\r\n\r\n5\r\nv=0\r\n\r\n`),
      ),
      ...Array.from({ length: 20 }, () => openBytes(server.url, 'POST /api/whip')),
    ];
    const publisher = await publishIn(call, room);
    await playIn(call, room);
    for (const one of open) one.abort();

    expectEmpty(await call(publisher.location), 200);
    expectEmpty(await call(publisher.location, { method: 'DELETE' }), 200);
  });

  it('a publisher that hangs up before the answer leaves the room free soon', async () => {
    const room = freshRoom();
    const head = `POST /api/whip/publish/${room} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n`;
    openBytes(server.url, `${head}Content-Length: ${PUBLISH_OFFER.length + 10}\r\n\r\n${PUBLISH_OFFER}`).abort();

    await publishIn(call, room);
  });

  it.each([
    ['a broken chunk', 'Transfer-Encoding: chunked\r\n\r\nzz\r\nv=0\r\n0\r\n\r\n'],
    ['a length that is none', 'Content-Length: many\r\n\r\nv=0\r\n'],
    ['a negative length', 'Content-Length: -5\r\n\r\nv=0\r\n'],
    ['two lengths', 'Content-Length: 5\r\nContent-Length: 6\r\n\r\nv=0\r\n0'],
    ['a header line without colon', 'Nonsense\r\nContent-Length: 0\r\n\r\n'],
    ['NUL in a header', 'X-A: a\0b\r\nContent-Length: 0\r\n\r\n'],
    ['bytes above 127 in headers', 'X-A: \xff\xfe\r\nIf-Match: \xe9\r\nContent-Length: 0\r\n\r\n'],
    ['very long headers', `X-A: ${'a'.repeat(200_000)}\r\nContent-Length: 0\r\n\r\n`],
    ['many headers', `${'X-A: a\r\n'.repeat(5_000)}Content-Length: 0\r\n\r\n`],
  ])('%s', async (_name, rest) => {
    const answer = await sendBytes(
      server.url,
      Buffer.from(`POST /api/whip/publish/${freshRoom()} HTTP/1.1\r\nHost: x\r\n${rest}`, 'latin1'),
    );

    if (answer !== '') expect(answer).toMatch(/^HTTP\/1\.1 4\d\d /);
    expect(answer).not.toMatch(/stack|\.ts:|\.js:/);
    expect((await call('/healthz')).status).toBe(200);
  });

  it.each([
    'hello\r\n\r\n',
    '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
    'GET / HTTP/9.9\r\n\r\n',
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  ])('bytes that are not HTTP/1.1: %j', async (bytes) => {
    const answer = await sendBytes(server.url, Buffer.from(bytes, 'latin1'));
    if (answer !== '') expect(answer).toMatch(/^HTTP\/1\.1 [45]\d\d /);
    expect((await call('/healthz')).status).toBe(200);
  });

  it.each([
    'OPTIONS * HTTP/1.1\r\nHost: x',
    'CONNECT x:80 HTTP/1.1\r\nHost: x',
    'GET /healthz HTTP/1.1\r\nHost: a b',
    'GET /healthz HTTP/1.1\r\nHost: x\r\nMF-CF-Blob: {',
    'GET /healthz HTTP/1.1\r\nHost: x\r\nMF-Original-URL: nonsense',
    'GET /cdn-cgi/local/platform-proxy HTTP/1.1\r\nHost: x',
  ])('what only the runtime answers tells nothing of it: %j', async (head) => {
    const answer = await sendBytes(server.url, `${head}\r\nConnection: close\r\n\r\n`);
    expect(answer).not.toMatch(/\bat .+:\d+|TypeError|\/work\/|node_modules|miniflare|workerd/);
    expect((await call('/healthz')).status).toBe(200);
  });

  it('a header of the runtime’s does not lead elsewhere', async () => {
    const reply = await call('/healthz', { headers: { 'MF-Original-URL': 'http://x/nothing' } });
    expect([reply.status, reply.body]).toEqual([200, 'ok']);
  });

  it('#85 a method that no server knows is 501', async () => {
    const answer = await sendBytes(server.url, 'BREW /api/rooms HTTP/1.1\r\nHost: x\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 501 /);
  });

  it('Expect: 100-continue', async () => {
    const head = `POST /api/whip/publish/${freshRoom()} HTTP/1.1\r\nHost: x\r\nContent-Type: application/sdp\r\n`;
    const rest = `Expect: 100-continue\r\nConnection: close\r\nContent-Length: ${PUBLISH_OFFER.length}\r\n\r\n${PUBLISH_OFFER}`;
    expect(await sendBytes(server.url, head + rest)).toMatch(/^(HTTP\/1\.1 100 Continue\r\n\r\n)?HTTP\/1\.1 201 /);
  });

  it('pipelined requests are answered in order', async () => {
    const get = (path: string, end = ''): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n${end}\r\n`;
    const answer = await sendBytes(
      server.url,
      get('/healthz') + get('/nothing') + get('/readyz', 'Connection: close\r\n'),
    );
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 404', 'HTTP/1.1 200']);
  });
});

describe('odd fields', () => {
  it.each([
    ['If-Match', '"'.repeat(2000)],
    ['If-Match', ',,,,,'],
    ['If-Match', 'W/W/W/"a"'],
    ['If-None-Match', '*'],
    ['If-Modified-Since', 'yesterday'],
    ['Range', 'bytes=0-0'],
    ['Accept', 'text/html;q=0'],
    ['Accept-Encoding', 'br, gzip, zstd'],
    ['Origin', 'not an origin'],
    ['Cookie', `session.id=${'x'.repeat(3000)}`],
    ['X-HTTP-Method-Override', 'DELETE'],
    ['TE', 'trailers'],
  ])('%s: %s', async (name, value) => {
    const { room, location } = await publishIn(call);
    const reply = await call(`/api/whep/play/${room}`, post(PLAY_OFFER, { [name]: value }));
    expect(reply.status).toBe(201);
    expect(reply.header('Content-Encoding')).toBeNull();
    expectEmpty(await call(location, { headers: { [name]: value } }), 200);
  });
});

describe('random bodies', () => {
  it('mutated offers get a session or a 4xx, and never a 5xx', async () => {
    const random = numbers('offers');
    const below = (limit: number): number => random.next().value % limit;
    for (let turn = 0; turn < 400; turn++) {
      const lines = (turn % 2 === 0 ? PUBLISH_OFFER : PLAY_OFFER).split('\r\n');
      for (let change = 0; change <= below(4); change++) {
        const at = below(lines.length);
        const line = lines[at] ?? '';
        const mutations = [
          () => lines.splice(at, 1),
          () => lines.splice(at, 0, line),
          () => lines.splice(at, 1, line.slice(0, below(line.length + 1))),
          () => lines.splice(at, 1, line.replace(/\d+/, String(below(2 ** 31)))),
          () => lines.splice(at, 1, `${line} ${'x'.repeat(below(300))}`),
          () => lines.splice(at, 1, ...lines.splice(below(lines.length), 1)),
        ];
        mutations[below(mutations.length)]?.();
      }
      const path = turn % 2 === 0 ? `/api/whip/publish/${freshRoom()}` : `/api/whep/play/${fuzzRoom}`;
      const reply = await call(path, post(lines.join('\r\n')));
      if (reply.status === 201) await call(reply.header('Location') ?? '', { method: 'DELETE' });
      else expectProblem(reply, [400, 413, 422]);
    }
  });

  it('mutated fragments', async () => {
    const session = await publishIn(call);
    const random = numbers('fragments');
    const text =
      'a=ice-ufrag:abcd\r\na=ice-pwd:abcdefghijklmnopqrstuvwx\r\nm=audio 9 RTP/AVP 0\r\na=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n';
    for (let turn = 0; turn < 300; turn++) {
      const bytes = Buffer.from(text);
      for (let change = 0; change < 3; change++) bytes[random.next().value % bytes.length] = random.next().value % 256;
      const reply = await call(session.location, { ...patch(null), body: bytes });
      if (reply.status === 204) expectEmpty(reply, 204);
      else if (reply.status !== 200) expectProblem(reply, [400]);
    }
    expectEmpty(await call(session.location), 200);
  });
});

let fuzzRoom = '';
beforeAll(async () => {
  fuzzRoom = (await publishIn(call)).room;
});
