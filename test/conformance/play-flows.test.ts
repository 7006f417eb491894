/** Group K of protocol.md (the 201, and the server's offer to an empty POST) and what becomes of viewers (seeds row 36). */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { grammarFaults } from './support/answer-faults.ts';
import { expectEmpty, expectProblem } from './support/checks.ts';
import { fragment, peerOf } from './support/fragments.ts';
import { readSdp, value, values } from './support/sdp.ts';
import {
  freshRoom,
  PLAY_OFFER,
  PUBLISH_OFFER,
  patch,
  playIn,
  post,
  publishIn,
  SDP,
  type Session,
  sessionOf,
} from './support/sessions.ts';
import { type Call, callTo } from './support/wire.ts';

const OFFER_VALID_MS = 30_000;

let server: Vestibule;
let call: Call;

beforeAll(async () => {
  server = await startVestibule();
  call = callTo(server.url);
});
afterAll(() => server.stop());

/** POSTs nothing; the 201 holds the server's offer. */
async function offered(room: string, headers: Record<string, string> = SDP): Promise<Session> {
  return sessionOf(await call(`/api/whep/play/${room}`, { method: 'POST', headers, body: '' }), room, '');
}

/** What a player answers to `offer`. */
function answerTo({ reply }: Session): string {
  return reply.body
    .replaceAll('a=sendonly', 'a=recvonly')
    .replaceAll('a=setup:actpass', 'a=setup:active')
    .replace(/^a=(ice-lite|candidate:.*|end-of-candidates|msid.*|ssrc.*)\r\n/gm, '')
    .replace(/^a=ice-ufrag:.*$/gm, 'a=ice-ufrag:player')
    .replace(/^a=ice-pwd:.*$/gm, 'a=ice-pwd:playerPLAYERplayerPLAYER');
}

const ANSWER = { 'Content-Type': 'application/sdp' };

describe('the server offers (#118 #122 #124 #125 #129)', () => {
  it.each([
    ['Content-Type: application/sdp (Eyevinn)', SDP],
    ['Accept: application/sdp', { Accept: 'application/sdp' }],
    ['no header at all', {}],
  ])('to an empty POST with %s', async (_name, headers) => {
    const { room } = await publishIn(call);

    const session = await offered(room, headers as Record<string, string>);

    expect(session.reply.header('Content-Type')).toBe('application/sdp');
    expect(session.reply.list('Accept-Patch').sort()).toEqual(['application/sdp', 'application/trickle-ice-sdpfrag']);
    const expires = new Date(session.reply.header('Expires') ?? '').getTime() - Date.now();
    expect(expires).toBeGreaterThan(OFFER_VALID_MS - 5_000);
    expect(expires).toBeLessThanOrEqual(OFFER_VALID_MS);
    expect(grammarFaults(session.reply.body)).toEqual([]);
    const { sections } = session.answer;
    expect(sections.map((section) => section.kind).sort()).toEqual(['audio', 'video']);
    for (const { attributes, port } of sections) {
      expect(port).not.toBe(0);
      for (const flag of ['sendonly', 'rtcp-mux', 'rtcp-mux-only', 'end-of-candidates'])
        expect(attributes).toContain(flag);
      expect(value(attributes, 'setup')).toBe('actpass');
      expect(values(attributes, 'candidate').length).toBeGreaterThan(0);
    }
    expect(new Set(sections.map(({ attributes }) => value(attributes, 'msid')?.split(' ')[0])).size).toBe(1);
    expect(values(session.answer.session, 'group')).toEqual([
      `BUNDLE ${sections.map(({ attributes }) => value(attributes, 'mid')).join(' ')}`,
    ]);
  });

  it('#122 takes the answer with 204, once', async () => {
    const { room } = await publishIn(call);
    const session = await offered(room);

    expectEmpty(await call(session.location, patch(answerTo(session), ANSWER)), 204);
    expectProblem(await call(session.location, patch(answerTo(session), ANSWER)), 422);
    expectEmpty(await call(session.location, { method: 'DELETE' }), 200);
  });

  it('#122 a bad answer is refused, and a good one still taken', async () => {
    const { room } = await publishIn(call);
    const session = await offered(room);
    const good = answerTo(session);

    for (const bad of [
      '',
      'junk',
      'v=0\r\n',
      good.replaceAll('a=setup:active', 'a=setup:actpass'),
      good.split(/^m=/m)[0] ?? '',
    ]) {
      expectProblem(await call(session.location, patch(bad, ANSWER)), [400, 422]);
    }
    for (const bad of [good.replaceAll('recvonly', 'inactive'), good.replaceAll(/^m=(\w+) 9/gm, 'm=$1 0')]) {
      expectProblem(await call(session.location, patch(bad, ANSWER)), 422);
    }
    for (const bad of [/^a=ice-ufrag:.*\r\n/gm, /^a=fingerprint:.*\r\n/gm]) {
      expectProblem(await call(session.location, patch(good.replace(bad, ''), ANSWER)), 400);
    }
    expectEmpty(await call(session.location, patch(good, ANSWER)), 204);
  });

  it('trickles before and after the answer', async () => {
    const { room } = await publishIn(call);
    const session = await offered(room);
    const peer = peerOf(answerTo(session));

    expectEmpty(await call(session.location, patch(fragment(peer), { 'If-Match': session.etag })), 204);
    expectEmpty(await call(session.location, patch(answerTo(session), ANSWER)), 204);
    expectEmpty(await call(session.location, patch(fragment(peer), { 'If-Match': session.etag })), 204);
  });

  it('the player may say no', async () => {
    const { room } = await publishIn(call);
    const session = await offered(room);

    expectEmpty(await call(session.location, { method: 'DELETE' }), 200);
    expectProblem(await call(session.location, patch(answerTo(session), ANSWER)), 404);
  });

  it('#3 another media type is 415 all the same', async () => {
    const { room } = await publishIn(call);
    expectProblem(
      await call(`/api/whep/play/${room}`, { method: 'POST', headers: { 'Content-Type': 'text/plain' } }),
      415,
    );
  });

  it('#131 PATCH of other types is 415', async () => {
    const { room } = await publishIn(call);
    const reply = await call((await offered(room)).location, patch('x', { 'Content-Type': 'application/json' }));

    expectProblem(reply, 415);
    expect(reply.list('Accept-Patch').sort()).toEqual(['application/sdp', 'application/trickle-ice-sdpfrag']);
  });
});

describe('ends', () => {
  const rooms = async (): Promise<{ name: string; subscribers: number }[]> =>
    (await call('/api/rooms')).json as { name: string; subscribers: number }[];

  it('row 36: the publisher leaves, and everybody with it', async () => {
    const publisher = await publishIn(call);
    const { room } = publisher;
    const viewers = [await playIn(call, room), await playIn(call, room), await offered(room)];
    expect((await rooms()).find(({ name }) => name === room)).toBeDefined();

    expectEmpty(await call(publisher.location, { method: 'DELETE' }), 200);

    for (const { location, etag } of viewers) {
      expectProblem(await call(location), 404);
      expectProblem(await call(location, patch(fragment(peerOf(PLAY_OFFER)), { 'If-Match': etag })), 404);
      expectProblem(await call(location, { method: 'DELETE' }), 404);
    }
    expect((await rooms()).find(({ name }) => name === room)).toBeUndefined();
    expectProblem(await call(`/api/whep/play/${room}`, post(PLAY_OFFER)), 404, 'no active publisher in room');
    const next = await publishIn(call, room);
    expect(next.location).not.toBe(publisher.location);
    expect(next.etag).not.toBe(publisher.etag);
    expectProblem(await call(publisher.location, { method: 'DELETE' }), 404);
    await playIn(call, room);
  });

  it('#90 what the last publisher could do, the next one’s room does not care for', async () => {
    const first = await publishIn(call);
    await call(first.location, { method: 'DELETE' });
    const second = await publishIn(call, first.room);

    expectProblem(await call(first.location, patch(fragment(peerOf(first.offer)), { 'If-Match': '*' })), 404);
    expectProblem(await call(first.location, { method: 'DELETE' }), 404);
    expectEmpty(await call(second.location), 200);
  });

  it('a viewer leaves, and nobody with it', async () => {
    const publisher = await publishIn(call);
    const [one, other] = [await playIn(call, publisher.room), await playIn(call, publisher.room)];

    expectEmpty(await call(one.location, { method: 'DELETE' }), 200);

    expectProblem(await call(one.location), 404);
    expectEmpty(await call(other.location), 200);
    expectEmpty(await call(publisher.location), 200);
  });

  it('#79 twenty DELETEs at once: one finds it', async () => {
    const publisher = await publishIn(call);
    const viewer = await playIn(call, publisher.room);
    for (const { location } of [viewer, publisher]) {
      const replies = await Promise.all(Array.from({ length: 20 }, () => call(location, { method: 'DELETE' })));
      expect(replies.map(({ status }) => status).sort()).toEqual([200, ...Array<number>(19).fill(404)]);
    }
  });

  it('a room comes and goes fifty times', async () => {
    const room = freshRoom();
    for (let time = 0; time < 50; time++) {
      const publisher = sessionOf(await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER)), room, PUBLISH_OFFER);
      await playIn(call, room);
      expectEmpty(await call(publisher.location, { method: 'DELETE' }), 200);
    }
    expect((await rooms()).find(({ name }) => name === room)).toBeUndefined();
  });

  it('#121 #126 a counter-offer (406) is never made: what is offered is answered or refused', async () => {
    const { room } = await publishIn(call);
    expect((await call(`/api/whep/play/${room}`, post(PLAY_OFFER))).status).toBe(201);
    expect((await call(`/api/whep/play/${room}`, post(readSdp(PLAY_OFFER).text.replaceAll('H264', 'X')))).status).toBe(
      422,
    );
  });
});
