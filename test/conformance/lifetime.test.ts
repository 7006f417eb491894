/** Group G of protocol.md, and what of C, D and E only shows on a connection: a real libwebrtc peer, over real UDP. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readOffer } from '../support/recorded-offers.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { testSources, type WrtcConnection, wrtc } from '../support/wrtc.ts';
import { expectEmpty, expectProblem } from './support/checks.ts';
import { peerOf, restart } from './support/fragments.ts';
import { freshRoom, patch, playIn, post, type Session, sessionOf } from './support/sessions.ts';
import { type Call, callTo } from './support/wire.ts';

/** Long enough to look at, short enough to wait for. */
const GRACE_MS = 5_000;
const CONNECT_MS = 20_000;
const CLOSE_MS = 8_000;

let server: Vestibule;
let call: Call;
const sources = testSources();

beforeAll(async () => {
  server = await startVestibule({ env: { PUBLISHER_GRACE_MS: String(GRACE_MS) } });
  call = callTo(server.url);
});
afterAll(async () => {
  sources.stop();
  await server.stop();
});

const WITHOUT_CANDIDATES = /^a=(candidate:.*|end-of-candidates|ice-options:.*)\r\n/gm;

/** What libwebrtc has heard of the other end's DTLS: `closed` after its close_notify. */
function dtlsState(connection: WrtcConnection): string | undefined {
  const { getSenders } = connection as unknown as { getSenders(): { transport: { state: string } | null }[] };
  return getSenders.call(connection)[0]?.transport?.state;
}

async function until(reached: () => boolean, deadlineMs = CONNECT_MS): Promise<void> {
  await expect.poll(reached, { timeout: deadlineMs, interval: 20 }).toBe(true);
}

/** Publishes as OBS does: without a single candidate (#63). */
async function publishForReal(room = freshRoom()): Promise<{ session: Session; connection: WrtcConnection }> {
  const connection = new wrtc.RTCPeerConnection();
  for (const track of sources.tracks) connection.addTransceiver(track, { direction: 'sendonly' });
  const offer = await connection.createOffer();
  await connection.setLocalDescription(offer);
  const bare = offer.sdp.replace(WITHOUT_CANDIDATES, '');
  expect(bare).not.toContain('a=candidate');
  const session = sessionOf(await call(`/api/whip/publish/${room}`, post(bare)), room, bare);
  await connection.setRemoteDescription({ type: 'answer', sdp: session.answer.text });
  await until(() => connection.connectionState === 'connected');
  return { session, connection };
}

const VIEWER = readOffer('wrtc-view');

describe('a connected publisher', () => {
  it('#63 #89 connects without ever having named a candidate, and stays', async () => {
    const { session, connection } = await publishForReal();

    expectEmpty(await call(session.location), 200);
    expect((await call('/api/rooms')).json).toContainEqual({
      name: session.room,
      hasPublisher: true,
      tracks: 2,
      subscribers: 0,
    });
    await call(session.location, { method: 'DELETE' });
    connection.close();
  });

  it('#76 #78 #87 DELETE ends the connection at once', async () => {
    const { session, connection } = await publishForReal();
    expect(dtlsState(connection)).toBe('connected');
    const startedAt = performance.now();

    expectEmpty(await call(session.location, { method: 'DELETE' }), 200);

    await until(() => dtlsState(connection) === 'closed', CLOSE_MS);
    expect(performance.now() - startedAt).toBeLessThan(CLOSE_MS);
    connection.close();
  });

  it('#64 #65 #75 #110 restarts ICE and goes on: same DTLS, same tracks', async () => {
    const { session, connection } = await publishForReal();
    const states: string[] = [];
    connection.addEventListener('connectionstatechange', () => states.push(connection.connectionState));
    const sent = async (): Promise<number> => {
      let packets = 0;
      for (const stat of (await connection.getStats()).values())
        if (stat.type === 'outbound-rtp') packets += Number(stat.packetsSent ?? 0);
      return packets;
    };

    const offer = await connection.createOffer({ iceRestart: true });
    await connection.setLocalDescription(offer);
    const credentials = peerOf(offer.sdp);
    expect(credentials.ufrag).not.toBe(peerOf(session.offer).ufrag);
    const reply = await call(session.location, patch(restart(credentials), { 'If-Match': '*' }));
    expect(reply.status, reply.body).toBe(200);
    const [ufrag, pwd] = [/a=ice-ufrag:(.*)\r\n/.exec(reply.body)?.[1], /a=ice-pwd:(.*)\r\n/.exec(reply.body)?.[1]];
    const answer = session.answer.text
      .replace(/^a=ice-ufrag:.*$/gm, `a=ice-ufrag:${ufrag}`)
      .replace(/^a=ice-pwd:.*$/gm, `a=ice-pwd:${pwd}`);
    await connection.setRemoteDescription({ type: 'answer', sdp: answer });

    await until(() => connection.iceConnectionState === 'connected' || connection.iceConnectionState === 'completed');
    const before = await sent();
    await expect.poll(sent, { timeout: CONNECT_MS }).toBeGreaterThan(before + 50);
    expect(states).not.toContain('failed');
    expect(connection.connectionState).toBe('connected');
    expectEmpty(await call(session.location, { method: 'DELETE' }), 200);
    connection.close();
  });

  it('#87 #127 row 36: gone without a word, its viewers wait for the grace, newcomers are told to come back', async () => {
    const { session, connection } = await publishForReal();
    const viewer = await playIn(call, session.room, VIEWER);
    connection.close();

    await expect
      .poll(async () => (await call(`/api/whep/play/${session.room}`, post(VIEWER))).status, {
        interval: 20,
      })
      .toBe(409);
    const lost = await call(`/api/whep/play/${session.room}`, post(VIEWER));
    expectProblem(lost, 409);
    expect(lost.header('Retry-After')).toMatch(/^[1-9]\d*$/);
    expectEmpty(await call(viewer.location), 200);

    await expect
      .poll(async () => (await call(`/api/whep/play/${session.room}`, post(VIEWER))).status, {
        timeout: GRACE_MS + 20_000,
        interval: 50,
      })
      .toBe(404);
    expectProblem(await call(viewer.location), 404);
    expectProblem(await call(session.location), 404);
    expect(((await call('/api/rooms')).json as { name: string }[]).map(({ name }) => name)).not.toContain(session.room);
  });

  it('#18 a publisher that comes back within the grace gets its room and its viewers', async () => {
    const first = await publishForReal();
    const viewer = await playIn(call, first.session.room, VIEWER);
    first.connection.close();
    await expect
      .poll(async () => (await call(`/api/whep/play/${first.session.room}`, post(VIEWER))).status, {
        interval: 20,
      })
      .toBe(409);

    const second = await publishForReal(first.session.room);

    expectEmpty(await call(viewer.location), 200);
    expectProblem(await call(first.session.location, { method: 'DELETE' }), 404);
    expectEmpty(await call(second.session.location, { method: 'DELETE' }), 200);
    expectProblem(await call(viewer.location), 404);
    second.connection.close();
  });
});
