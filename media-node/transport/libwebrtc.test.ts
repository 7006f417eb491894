/** Real ICE, DTLS and SRTP with libwebrtc over loopback UDP. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { RtpHeader, SrtpSession } from 'werift';
import { mintIceCredentials } from './ice-credentials.ts';
import { eventually, LOSSY_PATIENCE_MS, LOSSY_TEST_MS } from './testing/eventually.ts';
import { type LossProxy, openLossProxy } from './testing/loss-proxy.ts';
import { openLoopback, openSession } from './testing/session.ts';
import { openWrtcPeer, type WrtcPeer } from './testing/wrtc-peer.ts';
import type { SrtpKeys } from './types.ts';
import type { UdpMediaEndpoint } from './udp-endpoint.ts';

/** Seeds that lose something among the first few datagrams already. */
const LOSSY_SEEDS = [3, 7, 13, 27];

let endpoint: UdpMediaEndpoint;
const peers: WrtcPeer[] = [];
const proxies: LossProxy[] = [];

beforeEach(async () => {
  endpoint = await openLoopback();
});

afterEach(async () => {
  for (const { connection } of peers.splice(0)) connection.close();
  for (const proxy of proxies.splice(0)) proxy.close();
  await endpoint.close();
  expect([endpoint.transportCount, endpoint.tableSize]).toEqual([0, 0]);
});

function endpointPort(): number {
  return endpoint.candidates[0]?.port ?? 0;
}

async function begin(
  role: 'server' | 'client',
  port = endpointPort(),
  fingerprints?: [{ algorithm: string; value: string }],
) {
  const peer = await openWrtcPeer(role);
  peers.push(peer);
  const session = openSession(endpoint, {
    remote: fingerprints === undefined ? peer.remote : { ...peer.remote, fingerprints },
  });
  const setup = role === 'server' ? 'passive' : 'active';
  const answer = (local: { ufrag: string; pwd: string }, to = port): Promise<void> =>
    peer.answer({ local, fingerprint: endpoint.fingerprint, setup, port: to });
  await answer(session.local);
  return { peer, session, answer };
}

async function connect(role: 'server' | 'client', port?: number, patienceMs?: number) {
  const opened = await begin(role, port);
  await eventually(() => expect(opened.session.log).toEqual(['connected']), patienceMs);
  await eventually(() => expect(opened.peer.dtls.state).toBe('connected'), patienceMs);
  return opened;
}

/** An Opus packet, sealed with our keys by an SRTP that is not ours. */
function sealer(keys: SrtpKeys): (sequenceNumber: number) => Buffer {
  const srtp = new SrtpSession({
    profile: keys.profile === 'AEAD_AES_128_GCM' ? 7 : 1,
    keys: {
      localMasterKey: keys.localKey,
      localMasterSalt: keys.localSalt,
      remoteMasterKey: keys.remoteKey,
      remoteMasterSalt: keys.remoteSalt,
    },
  });
  return (sequenceNumber) =>
    srtp.encrypt(
      Buffer.from('f8fffe', 'hex'),
      new RtpHeader({ payloadType: 111, sequenceNumber, timestamp: sequenceNumber * 960, ssrc: 1234 }),
    );
}

async function packetsReceived({ connection }: WrtcPeer): Promise<number> {
  let packets = 0;
  for (const report of (await connection.getStats()).values()) {
    if (report.type === 'inbound-rtp') packets += report.packetsReceived ?? 0;
  }
  return packets;
}

describe.each(['server', 'client'] as const)('as DTLS %s', (role) => {
  test('connects, and libwebrtc opens what our keys sealed', async () => {
    const { peer, session } = await connect(role);
    if (session.keys === null) throw new Error('no keys');
    const seal = sealer(session.keys);

    let sequence = 0;
    await eventually(async () => {
      session.transport.send(seal(++sequence));
      expect(await packetsReceived(peer)).toBeGreaterThan(3);
    });
  });

  test('refuses a certificate that was not promised', async () => {
    const { peer, session } = await begin(role, undefined, [endpoint.fingerprint]);

    await eventually(() => expect(session.log).toEqual(['dtls-failed']));

    expect(session.keys).toBeNull();
    expect(peer.dtls.state).not.toBe('connected');
  });

  test("close makes libwebrtc's DTLS transport close", async () => {
    const { peer, session } = await connect(role);

    session.transport.close();

    await eventually(() => expect(peer.dtls.state).toBe('closed'));
    expect(session.log).toEqual(['connected']);
  });

  test('libwebrtc closing ends the session', async () => {
    const { peer, session } = await connect(role);

    peer.connection.close();

    await eventually(() => expect(session.log).toEqual(['connected', 'peer-closed']));
  });

  test.each(LOSSY_SEEDS)(
    'connects while a fifth of the datagrams is lost (seed %d)',
    {
      timeout: LOSSY_TEST_MS,
    },
    async (seed) => {
      const proxy = await openLossProxy(endpointPort(), 0.2, seed);
      proxies.push(proxy);

      await connect(role, proxy.port, LOSSY_PATIENCE_MS);

      expect(proxy.lost).toBeGreaterThan(0);
    },
  );
});

test('restarts ICE onto another path while the session lives on', async () => {
  const { peer, session, answer } = await connect('server');
  const before = session.transport.remoteAddress;
  const detour = await openLossProxy(endpointPort(), 0, 1);
  proxies.push(detour);

  await peer.restart();
  const local = mintIceCredentials();
  session.transport.restartIce(local, peer.remote.ice);
  await answer(local, detour.port);

  await eventually(() => expect(session.transport.remoteAddress).not.toBe(before));
  expect(session.log).toEqual(['connected']);
  expect(peer.dtls.state).toBe('connected');
});
