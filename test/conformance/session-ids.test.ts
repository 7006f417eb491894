/** Seeds row 3 (join, then `/whip/{session_id}`), and what a session's URL is worth (#6, #58, #59). */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { expectCors, expectEmpty, expectProblem } from './support/checks.ts';
import { freshRoom, PLAY_OFFER, PUBLISH_OFFER, patch, playIn, post, publishIn, sessionOf } from './support/sessions.ts';
import { type Call, callTo } from './support/wire.ts';

let server: Vestibule;
let call: Call;

beforeAll(async () => {
  server = await startVestibule();
  call = callTo(server.url);
});
afterAll(() => server.stop());

const TRICKLE = 'a=mid:0\r\na=candidate:1 1 udp 1 192.0.2.1 5000 typ host\r\n';

async function join(room: string): Promise<string> {
  const reply = await call(`/rooms/${room}/join`, { method: 'POST' });
  expect(reply.status).toBe(200);
  expect(reply.header('Content-Type')).toBe('application/json');
  expectCors(reply);
  const body = reply.json as { session_id: string };
  expect(Object.keys(body)).toEqual(['session_id']);
  expect(body.session_id).toMatch(/^[A-Za-z0-9._-]+$/);
  return body.session_id;
}

describe('joining', () => {
  it('row 3: POST, PATCH and DELETE on /whip/{session_id}', async () => {
    const room = freshRoom();
    const path = `/whip/${await join(room)}`;
    const session = sessionOf(await call(path, post(PUBLISH_OFFER)), room, PUBLISH_OFFER);

    expect(session.location).toBe(path);
    await playIn(call, room);
    expectEmpty(await call(path, patch(TRICKLE, { 'If-Match': session.etag })), 204);
    expectProblem(await call(path, patch(TRICKLE, { 'If-Match': '"other"' })), 412);
    expectProblem(await call(path, post(PUBLISH_OFFER)), 409);
    expectEmpty(await call(path, { method: 'DELETE' }), 200);
    expectProblem(await call(path, { method: 'DELETE' }), 404);
    expectProblem(await call(path, patch(TRICKLE)), 404);
    // Device change: the id may be used again.
    sessionOf(await call(path, post(PUBLISH_OFFER)), room, PUBLISH_OFFER);
  });

  it('row 3: two joined, one publishes', async () => {
    const room = freshRoom();
    const [first, second] = [await join(room), await join(room)];

    expect(first).not.toBe(second);
    sessionOf(await call(`/whip/${first}`, post(PUBLISH_OFFER)), room, PUBLISH_OFFER);
    expectProblem(await call(`/whip/${second}`, post(PUBLISH_OFFER)), 409);
    expectProblem(await call(`/whip/${second}`, { method: 'DELETE' }), 404);
    expectProblem(await call(`/whip/${second}`, patch(TRICKLE)), 404);
  });

  it('row 3: unknown ids are 404 for every method', async () => {
    for (const id of ['x', 'j.room.aaaa.bbbb', randomBytes(16).toString('hex'), `${await join('a')}x`]) {
      for (const method of ['GET', 'POST', 'PATCH', 'DELETE', 'OPTIONS']) {
        const headers = { 'Content-Type': method === 'PATCH' ? 'application/trickle-ice-sdpfrag' : 'application/sdp' };
        const body = method === 'POST' ? PUBLISH_OFFER : method === 'PATCH' ? TRICKLE : null;
        expectProblem(await call(`/whip/${id}`, { method, headers, body }), 404);
      }
    }
  });

  it('rooms are checked, methods too', async () => {
    expectProblem(await call('/rooms/a%20b/join', { method: 'POST' }), 400);
    expectProblem(await call('/rooms/a/join', { method: 'PUT' }), 405);
    expectProblem(await call('/rooms/a/join'), 405);
    expectProblem(await call('/rooms/a/leave', { method: 'POST' }), 404);
  });
});

describe('the URL of a session', () => {
  it('#6 cannot be guessed from another one, nor be altered', async () => {
    const publisher = await publishIn(call);
    const viewers = [await playIn(call, publisher.room), await playIn(call, publisher.room)];
    expect(new Set(viewers.map(({ location }) => location)).size).toBe(2);

    for (const { location } of [publisher, ...viewers]) {
      const rid = location.slice('/resource/'.length);
      const altered = Array.from(
        rid,
        (letter, at) => rid.slice(0, at) + (letter === 'a' ? 'b' : 'a') + rid.slice(at + 1),
      );
      for (const other of [...altered, rid.slice(0, -1), `${rid}a`, rid.toUpperCase(), `${rid}.a`]) {
        expectProblem(await call(`/resource/${other}`, { method: 'DELETE' }), 404);
      }
      expectEmpty(await call(location), 200);
    }
  });

  it('#58 #80 #90 is gone for every method once deleted', async () => {
    for (const kind of ['publisher', 'viewer']) {
      const publisher = await publishIn(call);
      const session = kind === 'publisher' ? publisher : await playIn(call, publisher.room);
      expectEmpty(await call(session.location, { method: 'DELETE' }), 200);

      for (const request of [
        { method: 'GET' },
        { method: 'DELETE' },
        { method: 'OPTIONS' },
        patch(TRICKLE, { 'If-Match': session.etag }),
        patch(TRICKLE, { 'If-Match': '*' }),
        patch('a=ice-ufrag:newer\r\na=ice-pwd:newernewernewernewernewer\r\n', { 'If-Match': '*' }),
        patch('', { 'Content-Type': 'text/plain' }),
        patch(PLAY_OFFER, { 'Content-Type': 'application/sdp' }),
      ]) {
        expectProblem(await call(session.location, request), 404);
      }
      expect((await call(session.location, { method: 'HEAD' })).status).toBe(404);
    }
  });

  it('is found with a query behind it, too', async () => {
    const { location, etag } = await publishIn(call);
    expectEmpty(await call(`${location}?token=x`, patch(TRICKLE, { 'If-Match': etag })), 204);
    expectEmpty(await call(`${location}?a=b&c`, { method: 'DELETE' }), 200);
  });

  it('#58 unknown ones, in every spelling', async () => {
    const { location } = await publishIn(call);
    for (const path of [
      '/resource/',
      '/resource/x',
      `${location}/`,
      `${location}/sse`,

      '/resource/%00',
    ]) {
      for (const method of ['GET', 'DELETE', 'OPTIONS']) expectProblem(await call(path, { method }), 404);
      expectProblem(await call(path, patch(TRICKLE)), 404);
    }
    expectEmpty(await call(location), 200);
  });
});
