/** Session resources against the requirements of `protocol.md`, groups C, D, E, F and K, by number. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { RoomName } from '../../shared/ids.ts';
import { mintSessionId } from '../../shared/ids.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { JOIN_TOKEN_LIFE_MS, writeResourceId } from '../resource-id.ts';
import { type Call, deployed, playIn, post, problemOf, publishIn, SDP, SDPFRAG, textOf } from '../test-support/app.ts';
import { TEST_SESSION_SECRET } from '../test-support/bindings.ts';
import { dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';
import { PLAY_OFFER, PLAYER_ANSWER, PUBLISH_OFFER } from '../test-support/sample-sdp.ts';
import { turns } from '../test-support/turns.ts';

const call: Call = deployed();
const TRICKLE =
  'a=ice-ufrag:cliu\r\na=ice-pwd:clientpasswordclientpw01\r\nm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\n' +
  'a=candidate:1 1 udp 2130706431 192.0.2.1 5000 typ host\r\n';
const RESTART = 'a=ice-ufrag:restart\r\na=ice-pwd:anotherpasswordclient001\r\n';

let node: FakeNode;
let rooms = 0;
let room = '';
let publisher = '';
let viewer = '';

beforeAll(async () => {
  node = await dialFakeNode();
});
afterAll(() => node.close());
beforeEach(async () => {
  rooms += 1;
  room = `room-${rooms}`;
  publisher = await publishIn(call, room);
  viewer = await playIn(call, room);
});

/** What is true of publishers' and viewers' resources alike. */
const BOTH = [
  ['publisher', () => publisher],
  ['viewer', () => viewer],
] as const;

function patch(body: string, headers: Record<string, string> = {}): RequestInit {
  return { method: 'PATCH', headers: { ...SDPFRAG, ...headers }, body };
}

describe.each(BOTH)('PATCH of a %s', (_kind, path) => {
  it('#45 answers a trickle with 204, no body and no ETag', async () => {
    const response = await call(path(), patch(TRICKLE, { 'If-Match': '"x"' }));

    expect(response.status).toBe(204);
    expect(response.headers.has('ETag')).toBe(false);
    expect((await response.arrayBuffer()).byteLength).toBe(0);
    expect(response.headers.get('Access-Control-Allow-Origin')).toBe('*');
  });

  it('#47 #49 #50 hands the precondition on as it came', async () => {
    const seen: (string | null)[] = [];
    node.on('patch', (request) => {
      seen.push(request.ifMatch);
      return { kind: 'trickled' };
    });
    const fields = ['*', '"*"', '"a", "b"', 'W/"a"', 'unquoted'];
    for (const field of fields) await call(path(), patch(TRICKLE, { 'If-Match': field }));
    await call(path(), patch(TRICKLE));
    node.on('patch', null);

    expect(seen).toEqual([...fields, null]);
  });

  it('#47 is strict when it is told to be', async () => {
    const strict = deployed({ STRICT_PRECONDITIONS: '1' });

    expect((await strict(path(), patch(TRICKLE))).status).toBe(428);
    expect((await call(path(), patch(TRICKLE))).status).toBe(204);
  });

  it('names a media type on what has no content, which would be compressed otherwise', async () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'DELETE']) {
      const response = await call(path(), { method });

      expect(response.status, method).toBe(200);
      expect(response.headers.get('Content-Type'), method).toBe('application/octet-stream');
    }
  });

  it('#58 is 404 once the session is gone, whatever else is wrong with the request', async () => {
    expect((await call(path(), { method: 'DELETE' })).status).toBe(200);

    for (const type of ['application/trickle-ice-sdpfrag', 'application/sdp', 'text/plain']) {
      const response = await call(path(), patch('nonsense', { 'Content-Type': type }));

      expect(response.status, type).toBe(404);
    }
  });

  it('#48 says 412 for a stale tag', async () => {
    expect((await call(path(), patch(TRICKLE, { 'If-Match': '"stale"' }))).status).toBe(412);
  });

  it('#65 answers a restart with 200, the fragment, a new tag', async () => {
    const response = await call(path(), patch(RESTART, { 'If-Match': '*' }));

    expect(response.status).toBe(200);
    expect(response.headers.get('Content-Type')).toBe('application/trickle-ice-sdpfrag');
    expect(response.headers.get('ETag')).toMatch(/^"[^"*]+"$/);
    expect(response.headers.get('Cache-Control')).toBe('no-store');
    expect(await textOf(response)).toMatch(/a=ice-ufrag:(.*)\r\n/);
  });

  it('#43 refuses other media types with 415 and Accept-Patch', async () => {
    for (const type of ['text/plain', 'application/json', 'application/sdpfrag']) {
      const response = await call(path(), patch(TRICKLE, { 'Content-Type': type }));

      expect(response.status, type).toBe(415);
      expect(response.headers.get('Accept-Patch')).toContain('application/trickle-ice-sdpfrag');
    }
    const untyped = { method: 'PATCH', body: new TextEncoder().encode(TRICKLE) };
    expect((await call(path(), untyped)).status).toBe(415);
  });

  it('takes the media type with parameters and in capitals', async () => {
    const type = 'Application/Trickle-ICE-SDPfrag; charset=utf-8';

    expect((await call(path(), patch(TRICKLE, { 'Content-Type': type }))).status).toBe(204);
  });

  it('refuses a huge fragment with 413', async () => {
    expect((await call(path(), patch('a=x\r\n'.repeat(20_000)))).status).toBe(413);
  });

  it('#59 asks for no token and looks at none', async () => {
    const closed = deployed({ AUTH_TOKEN: 'secret' });

    expect((await closed(path(), patch(TRICKLE))).status).toBe(204);
    expect((await closed(path(), patch(TRICKLE, { Authorization: 'Bearer undefined' }))).status).toBe(204);
    expect((await closed(path(), { method: 'DELETE' })).status).toBe(200);
  });
});

describe('PATCH with application/sdp', () => {
  it('#61 is 415 for a publisher', async () => {
    const response = await call(publisher, patch(PLAYER_ANSWER, SDP));

    expect(response.status).toBe(415);
    expect(response.headers.get('Accept-Patch')).toBe('application/trickle-ice-sdpfrag');
  });

  it('#122 #124 #129 #131 answers an offer of ours once', async () => {
    const created = await call(`/api/whep/play/${room}`, post(''));
    const path = created.headers.get('Location') ?? '';

    expect((await call(path, patch('junk', SDP))).status).toBe(400);
    const accepted = await call(path, patch(PLAYER_ANSWER, SDP));
    expect(accepted.status).toBe(204);
    expect((await accepted.arrayBuffer()).byteLength).toBe(0);
    expect((await call(path, patch(PLAYER_ANSWER, SDP))).status).toBe(422);
  });

  it('#124 is 422 for a viewer that made the offer itself', async () => {
    expect((await call(viewer, patch(PLAYER_ANSWER, SDP))).status).toBe(422);
  });
});

describe.each(BOTH)('DELETE of a %s', (_kind, path) => {
  it('#76 #77 #79 #58 answers 200 without content, then 404 to everything', async () => {
    const response = await call(path(), { method: 'DELETE', headers: { 'If-Match': '"stale"' } });

    expect(response.status).toBe(200);
    expect(response.headers.get('Content-Length')).toBe('0');
    expect((await response.arrayBuffer()).byteLength).toBe(0);
    for (const again of [
      { method: 'DELETE' },
      patch(TRICKLE),
      { method: 'GET' },
      { method: 'HEAD' },
      { method: 'OPTIONS' },
    ]) {
      expect((await call(path(), again)).status, again.method).toBe(404);
    }
  });
});

describe('a publisher that leaves', () => {
  it('frees the room and ends its viewers', async () => {
    await call(publisher, { method: 'DELETE' });

    expect((await call(viewer)).status).toBe(404);
    expect((await call(`/api/whep/play/${room}`, post(PLAY_OFFER))).status).toBe(404);
    expect((await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER))).status).toBe(201);
  });

  it('a viewer that leaves leaves the publisher alone', async () => {
    await call(viewer, { method: 'DELETE' });

    expect((await call(publisher)).status).toBe(200);
  });
});

describe.each(BOTH)('other methods on a %s', (_kind, path) => {
  it('#83 #84 GET and HEAD have no content', async () => {
    for (const method of ['GET', 'HEAD']) {
      const response = await call(path(), { method });

      expect(response.status).toBe(200);
      expect((await response.arrayBuffer()).byteLength).toBe(0);
    }
  });

  it.each(['POST', 'PUT'])('#85 #86 refuses %s', async (method) => {
    const response = await call(path(), { method, headers: SDP, body: 'x' });

    expect(response.status).toBe(405);
    expect(response.headers.get('Allow')).toBe('OPTIONS, GET, HEAD, PATCH, DELETE');
  });

  it('#42 answers OPTIONS and preflights', async () => {
    const preflight = { Origin: 'https://page.example', 'Access-Control-Request-Method': 'PATCH' };
    for (const headers of [{}, preflight]) {
      const response = await call(path(), { method: 'OPTIONS', headers });

      expect(response.status).toBe(200);
      expect(response.headers.get('Accept-Patch')).toBe('application/trickle-ice-sdpfrag');
      expect(response.headers.get('Access-Control-Allow-Methods')).toContain('PATCH');
    }
  });
});

describe('ids that this edge did not write', () => {
  it('are 404, and nobody is asked', async () => {
    const before = node.requests.length;
    const [, kind, name, session, mac] = /^\/resource\/(\w)\.([^.]+)\.(\w+)\.(.+)$/.exec(publisher) ?? [];
    const forged = [
      `/resource/${kind}.${name}.${mintSessionId()}.${mac}`,
      `/resource/${kind}.other.${session}.${mac}`,
      `/resource/e.${name}.node-1.${session}.${mac}`,
      publisher.slice(0, -1),
      `${publisher}A`,
      `${publisher}%00`,
      `/resource/${await writeResourceId({ kind: 'ingress', room: room as RoomName, session: mintSessionId() }, 'another secret')}`,
    ];
    for (const path of forged) {
      for (const init of [patch(TRICKLE), { method: 'DELETE' }, { method: 'GET' }, { method: 'OPTIONS' }]) {
        const response = await call(path, init);

        expect(response.status, `${init.method} ${path}`).toBe(404);
      }
    }
    expect(node.requests.length).toBe(before);
  });

  it('are 404 however they are spelled', async () => {
    const turn = turns();
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', minLength: 1, maxLength: 100 }), async (rid) => {
        await turn();
        const response = await call(`/resource/${encodeURIComponent(rid.toWellFormed())}`, { method: 'DELETE' });

        expect(response.status).toBe(404);
      }),
      { numRuns: 1000 },
    );
  });

  it('are not join tokens', async () => {
    const token = { kind: 'join', room: room as RoomName, session: mintSessionId(), issuedAtMs: Date.now() } as const;
    const rid = await writeResourceId(token, TEST_SESSION_SECRET);

    expect((await call(`/resource/${rid}`, { method: 'DELETE' })).status).toBe(404);
    expect((await call(publisher.replace('/resource/', '/whip/'), { method: 'DELETE' })).status).toBe(404);
  });
});

describe('join, then /whip/{session_id}', () => {
  async function join(name: string): Promise<string> {
    const response = await call(`/rooms/${name}/join`, { method: 'POST' });
    expect(response.status).toBe(200);
    const { session_id } = (await response.json()) as { session_id: string };
    return `/whip/${session_id}`;
  }

  it('rows 3, 9, 10, 11: publishes, trickles, restarts, ends', async () => {
    const path = await join(`${room}-joined`);

    const created = await call(path, post(PUBLISH_OFFER));
    expect(created.status).toBe(201);
    expect(created.headers.get('Location')).toBe(path);
    expect(created.headers.get('ETag')).toMatch(/^"[^"*]+"$/);
    expect((await call(path, patch(TRICKLE))).status).toBe(204);
    expect((await call(path, patch(RESTART, { 'If-Match': '*' }))).status).toBe(200);
    expect((await call(path, post(PUBLISH_OFFER))).status).toBe(409);
    expect((await call(path, { method: 'GET' })).status).toBe(200);
    expect((await call(path, { method: 'DELETE' })).status).toBe(200);
    expect((await call(path, { method: 'DELETE' })).status).toBe(404);
    expect((await call(path, patch(TRICKLE))).status).toBe(404);
  });

  it('refuses what is no offer', async () => {
    const path = await join(`${room}-joined`);

    expect((await call(path, post(''))).status).toBe(400);
    expect((await call(path, post('junk'))).status).toBe(400);
    expect((await call(path, post(PUBLISH_OFFER, { 'Content-Type': 'text/plain' }))).status).toBe(415);
    expect((await call(path, { method: 'PUT' })).status).toBe(405);
  });

  it('knows no id that it did not give out', async () => {
    expect((await call('/whip/unknown', post(PUBLISH_OFFER))).status).toBe(404);
    expect((await call(`/whip/${mintSessionId()}`, { method: 'DELETE' })).status).toBe(404);
  });

  it('opens nothing with a token of more than an hour', async () => {
    const issuedAtMs = Date.now() - JOIN_TOKEN_LIFE_MS - 1000;
    const token = { kind: 'join', room: `${room}-old` as RoomName, session: mintSessionId(), issuedAtMs } as const;
    const path = `/whip/${await writeResourceId(token, TEST_SESSION_SECRET)}`;

    expect((await call(path, post(PUBLISH_OFFER))).status).toBe(404);
    expect((await call(path)).status).toBe(404);
  });

  it('asks for the permission to publish once, when joining', async () => {
    const closed = deployed({ AUTH_TOKEN: 'secret' });
    const path = `/rooms/${room}-joined/join`;

    expect((await closed(path, { method: 'POST' })).status).toBe(401);
    expect((await closed(path, { method: 'POST', headers: { Authorization: 'Bearer secret' } })).status).toBe(200);
    expect((await closed('/rooms/a%20b/join', { method: 'POST' })).status).toBe(400);
    expect((await closed(path)).status).toBe(405);
  });

  it('answers OPTIONS', async () => {
    const response = await call(await join(`${room}-joined`), { method: 'OPTIONS' });

    expect(response.status).toBe(200);
    expect(response.headers.get('Accept-Post')).toBe('application/sdp');
    expect(response.headers.get('Accept-Patch')).toBe('application/trickle-ice-sdpfrag');
  });
});

describe('a node that is out of reach', () => {
  it('makes its viewers’ resources 503 or 504, never 500', async () => {
    const other = await dialFakeNode({ node: 'node-gone' });
    const session = mintSessionId();
    const resource = { kind: 'egress', room: room as RoomName, node: other.node, session } as const;
    const path = `/resource/${await writeResourceId(resource, TEST_SESSION_SECRET)}`;
    expect((await call(path)).status).toBe(404);
    other.close();

    const response = await call(path, patch(TRICKLE));

    expect([503, 504]).toContain(response.status);
    expect((await problemOf(response)).code).toMatch(/^node_/);
  });
});
