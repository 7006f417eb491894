import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { readlinkSync } from 'node:fs';
import { afterEach, beforeAll, beforeEach, describe, expect, onTestFinished, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import type { DtlsCertificate } from './certificate.ts';
import { freshCertificate } from './testing/dtls-pair.ts';
import { eventually } from './testing/eventually.ts';
import { HAS_IPV6 } from './testing/ipv6.ts';
import { LOOPBACK, NO_PEER, openLoopback, openSession } from './testing/session.ts';
import { stunCheck } from './testing/stun-check.ts';
import { openUdpPeer, type UdpPeer } from './testing/udp-peer.ts';
import type { DatagramRoute } from './types.ts';
import { mintIceCredentials, openMediaEndpoint, type UdpMediaEndpoint } from './udp-endpoint.ts';

/** Datagrams that fit in any socket buffer. */
const BATCH = 100;

let certificate: DtlsCertificate;
beforeAll(async () => {
  certificate = await freshCertificate();
});

describe('opening', () => {
  test.skipIf(!HAS_IPV6)(
    'all addresses share one port, IPv4 comes first, and the public address is announced',
    async () => {
      const endpoint = await openMediaEndpoint({
        addresses: [
          { bind: '::1', announce: '::1', family: 6 },
          { bind: '127.0.0.2', announce: '198.51.100.7', family: 4 },
          LOOPBACK,
        ],
        port: 0,
      });

      const { candidates, fingerprint } = endpoint;
      await endpoint.close();

      expect(candidates.map(({ address }) => address)).toEqual(['198.51.100.7', '127.0.0.1', '::1']);
      expect(new Set(candidates.map(({ port }) => port)).size).toBe(1);
      expect(candidates[0]?.port).toBeGreaterThan(0);
      expect(fingerprint.algorithm).toBe('sha-256');
      expect(fingerprint.value).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/);
    },
  );

  test('a port in use is an error that names the setting, and nothing stays open', async () => {
    const taken = createSocket('udp4').bind(0, '127.0.0.2');
    await once(taken, 'listening');
    const { port } = taken.address();
    const addresses = [LOOPBACK, { bind: '127.0.0.2', announce: '127.0.0.2', family: 4 as const }];

    await expect(openMediaEndpoint({ addresses, port })).rejects.toThrow(`${port} is in use on 127.0.0.2`);
    await expect(openMediaEndpoint({ addresses, port })).rejects.toThrow('MEDIA_PORT');

    taken.close();
    await once(taken, 'close');
    await (await openMediaEndpoint({ addresses, port })).close();
  });

  test("an address that is not this machine's is an error that names the setting", async () => {
    const addresses = [{ bind: '192.0.2.77', announce: '192.0.2.77', family: 4 as const }];
    await expect(openMediaEndpoint({ addresses, port: 0 })).rejects.toThrow(/192\.0\.2\.77.*MEDIA_ADDRESSES/);
  });

  test('credentials are long enough, plain and different', () => {
    const minted = Array.from({ length: 100 }, mintIceCredentials);
    for (const { ufrag, pwd } of minted) {
      expect(ufrag).toMatch(/^[A-Za-z0-9]{8,256}$/);
      expect(pwd).toMatch(/^[A-Za-z0-9]{24,256}$/);
    }
    expect(new Set(minted.map(({ ufrag }) => ufrag)).size).toBe(100);
  });
});

describe('a session', () => {
  let endpoint: UdpMediaEndpoint;
  const peers: UdpPeer[] = [];

  beforeEach(async () => {
    endpoint = await openLoopback();
  });

  afterEach(async () => {
    for (const peer of peers.splice(0)) await peer.close();
    await endpoint.close();
    expect(endpoint.transportCount).toBe(0);
    expect(endpoint.tableSize).toBe(0);
  });

  async function peer(): Promise<UdpPeer> {
    const opened = await openUdpPeer(endpoint.candidates[0]?.port ?? 0);
    peers.push(opened);
    return opened;
  }

  /** A session that is up, with its peer in the other DTLS role. */
  async function connected(dtlsRole: 'server' | 'client' = 'server', options = {}) {
    const other = await peer();
    const session = openSession(endpoint, {
      remote: { ...NO_PEER, fingerprints: [certificate.fingerprint], dtlsRole },
      ...options,
    });
    // The server's end listens before the nomination sets the client off.
    const end = dtlsRole === 'client' ? other.dtls('server', certificate) : null;
    await other.check(session.local, { useCandidate: true });
    const dtls = end ?? other.dtls('client', certificate);
    await eventually(() => expect(session.log).toContain('connected'));
    return { other, session, dtls };
  }

  test.each(['server', 'client'] as const)('connects as DTLS %s; media flows both ways', async (role) => {
    const { other, session, dtls } = await connected(role);
    await eventually(() => expect(dtls.keys?.localKey).toEqual(session.keys?.remoteKey));

    other.send(Buffer.from([0x80, 1, 2, 3]));
    await eventually(() => expect(session.media).toEqual([Buffer.from([0x80, 1, 2, 3])]));
    session.transport.send(Buffer.from([0x90, 9]));
    await eventually(() => expect(other.received).toContainEqual(Buffer.from([0x90, 9])));

    expect(session.transport.remoteAddress).toBe(`127.0.0.1:${other.port}`);
  });

  test('tells where it sends to: from the first pair on, after each move, and that it is closed', async () => {
    const { other, session } = await connected();
    const routes: (DatagramRoute | null)[] = [];
    session.transport.watchRoute((route) => void routes.push(route));
    const moved = await peer();
    await moved.check(session.local, { useCandidate: true });
    await eventually(() => expect(session.transport.remoteAddress).toBe(`127.0.0.1:${moved.port}`));
    session.transport.close();

    const fd = routes[0]?.fd ?? -1;
    expect(readlinkSync(`/proc/self/fd/${fd}`)).toMatch(/^socket:/);
    const there = { fd, address: Buffer.from([127, 0, 0, 1]), zone: '' };
    expect(routes).toEqual([{ ...there, port: other.port }, { ...there, port: moved.port }, null]);
  });

  test('without a pair has no way to send', () => {
    const session = openSession(endpoint);
    const routes: (DatagramRoute | null)[] = [];
    session.transport.watchRoute((route) => void routes.push(route));
    session.transport.close();
    expect(routes).toEqual([null, null]);
  });

  test('with the wrong fingerprint fails and never connects', async () => {
    const other = await peer();
    const session = openSession(endpoint, { remote: { ...NO_PEER, fingerprints: [endpoint.fingerprint] } });
    await other.check(session.local, { useCandidate: true });
    const dtls = other.dtls('client', certificate);

    await eventually(() => expect(dtls.log).toEqual(['failed']));

    expect(session.log).toEqual(['dtls-failed']);
    expect(endpoint.transportCount).toBe(0);
  });

  test('close says close_notify, and the peer saying so ends the session', async () => {
    const first = await connected();
    first.session.transport.close();
    first.session.transport.close();
    await eventually(() => expect(first.dtls.log).toEqual(['connected', 'closed']));
    expect(first.session.log).toEqual(['connected']);

    const second = await connected('client');
    await second.other.close();
    peers.splice(peers.indexOf(second.other), 1);
    await eventually(() => expect(second.session.log).toEqual(['connected', 'peer-closed']));
  });

  test('waits for an answer to our offer: DTLS that comes first is kept', async () => {
    const other = await peer();
    const session = openSession(endpoint, { remote: null });
    await other.check(session.local, { useCandidate: true });
    other.dtls('client', certificate);
    const counted = endpoint.counters.received;
    await eventually(() => expect(endpoint.counters.received).toBeGreaterThan(counted));

    session.transport.setRemote({ ...NO_PEER, fingerprints: [certificate.fingerprint] });

    await eventually(() => expect(session.log).toEqual(['connected']));
  });

  test('media goes on the proven pair of the handshake until one is nominated (libwebrtc nominates 50 ms later)', async () => {
    const other = await peer();
    const elsewhere = await peer();
    const session = openSession(endpoint, { remote: { ...NO_PEER, fingerprints: [certificate.fingerprint] } });
    await other.check(session.local);
    await elsewhere.check(session.local);
    expect(session.transport.remoteAddress).toBeNull();

    const dtls = other.dtls('client', certificate);
    await eventually(() => expect(dtls.log).toEqual(['connected']));
    expect(session.log).toEqual(['connected']);
    session.transport.send(Buffer.from([0x90, 1]));
    await eventually(() => expect(other.received).toContainEqual(Buffer.from([0x90, 1])));

    await elsewhere.check(session.local, { useCandidate: true });
    await eventually(() => expect(session.transport.remoteAddress).toBe(`127.0.0.1:${elsewhere.port}`));
    session.transport.send(Buffer.from([0x90, 2]));
    await eventually(() => expect(elsewhere.received).toContainEqual(Buffer.from([0x90, 2])));
    expect(other.received).not.toContainEqual(Buffer.from([0x90, 2]));
  });

  test('follows its peer to another address, and still hears the old one', async () => {
    const { other, session } = await connected();
    const moved = await peer();

    moved.send(Buffer.from([0x80, 7]));
    await moved.check(session.local, { useCandidate: true });
    other.send(Buffer.from([0x80, 8]));
    moved.send(Buffer.from([0x80, 9]));
    await eventually(() => expect(session.media).toHaveLength(2));
    await eventually(() => expect(session.transport.remoteAddress).toBe(`127.0.0.1:${moved.port}`));
    session.transport.send(Buffer.from([0x90]));

    // What came before the proof was dropped.
    expect(session.media.map((data) => data[1]).sort()).toEqual([8, 9]);
    expect(endpoint.counters.unknownAddress).toBe(1);
    await eventually(() => expect(moved.received).toContainEqual(Buffer.from([0x90])));
    expect(other.received).not.toContainEqual(Buffer.from([0x90]));
  });

  test('restarts ICE: the old pair carries media until the new credentials are nominated', async () => {
    const { other, session } = await connected();
    const next = mintIceCredentials();
    const moved = await peer();

    session.transport.restartIce(next, NO_PEER.ice);
    session.transport.send(Buffer.from([0x91]));
    await eventually(() => expect(other.received).toContainEqual(Buffer.from([0x91])));
    expect((await other.check(session.local)).type).toBe(0x0101);

    await moved.check(next, { useCandidate: true });
    await eventually(() => expect(session.transport.remoteAddress).toBe(`127.0.0.1:${moved.port}`));
    session.transport.send(Buffer.from([0x92]));
    await eventually(() => expect(moved.received).toContainEqual(Buffer.from([0x92])));
    // One connection, no second handshake; the old credentials are no longer anybody's.
    expect(session.log).toEqual(['connected']);
    other.send(stunCheck({ username: `${session.local.ufrag}:peer`, password: session.local.pwd }));
    await eventually(() => expect(endpoint.counters.unknownCheck).toBe(1));
  });

  test('a newer session takes over the address of an older one that is not heard any more', async () => {
    const { other, session: older } = await connected();
    const newer = openSession(endpoint, { remote: { ...NO_PEER, fingerprints: [certificate.fingerprint] } });
    const check = stunCheck({ username: `${newer.local.ufrag}:peer`, password: newer.local.pwd, useCandidate: true });
    const checks = setInterval(() => other.send(check), 50);
    onTestFinished(() => clearInterval(checks));
    const id = check.toString('hex', 8, 20);
    await eventually(() => expect(other.received.map((data) => data.toString('hex', 8, 20))).toContain(id));
    other.dtls('client', certificate);
    await eventually(() => expect(newer.log).toEqual(['connected']));

    older.transport.close();
    other.send(Buffer.from([0x80, 1]));

    await eventually(() => expect(newer.media).toHaveLength(1));
    expect(older.media).toHaveLength(0);
  });

  test('a check under the address of a peer that is heard takes nothing from it', async () => {
    const { other, session } = await connected();
    const thief = openSession(endpoint);

    // What somebody else would send under the address of the peer.
    other.send(stunCheck({ username: `${thief.local.ufrag}:thief`, password: thief.local.pwd, useCandidate: true }));
    other.send(Buffer.from([0x80, 1]));

    await eventually(() => expect(session.media.length + thief.media.length + endpoint.counters.unknownCheck).toBe(2));
    expect([session.media.length, endpoint.counters.unknownCheck]).toEqual([1, 1]);
  });

  test('tells silence, its end, and expires', async () => {
    const { other, session } = await connected('server', { silenceMs: 3_600_000, expiryMs: 7_200_000 });
    const soon = performance.now() + 3_600_001;

    endpoint.tick(soon);
    endpoint.tick(soon);
    expect(session.log).toEqual(['connected', 'silent']);
    await other.check(session.local);
    expect(session.log).toEqual(['connected', 'silent', 'heard']);
    const later = performance.now() + 3_600_001;
    endpoint.tick(later);
    session.transport.noteAuthenticated(later + 1);
    expect(session.log.slice(3)).toEqual(['silent', 'heard']);
    // Unauthenticated media is no sign of life.
    other.send(Buffer.from([0x80]));
    await eventually(() => expect(session.media).toHaveLength(1));
    endpoint.tick(later + 7_200_002);

    expect(session.log.slice(5)).toEqual(['silent', 'silence']);
    expect(endpoint.transportCount).toBe(0);
  });

  test('what was not heard while this process stood still is no silence', async () => {
    const { session } = await connected('server', { silenceMs: 2_000, expiryMs: 4_000 });

    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4_500);
    // Timers first, then what waits in the socket.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(session.log).toEqual(['connected']);

    await eventually(() => expect(session.log).toEqual(['connected', 'silent', 'silence']));
  });

  test('that never connects is given up', () => {
    const session = openSession(endpoint, { connectTimeoutMs: 60_000 });
    const now = performance.now();

    endpoint.tick(now + 50_000);
    expect(session.log).toEqual([]);
    endpoint.tick(now + 60_001);

    expect(session.log).toEqual(['never-connected']);
    expect(endpoint.tableSize).toBe(0);
  });

  test('50 connect and close cycles leave nothing', async () => {
    for (let i = 0; i < 50; i++) {
      const { other, session } = await connected(i % 2 === 0 ? 'server' : 'client');
      if (i % 3 === 0) session.transport.restartIce(mintIceCredentials(), NO_PEER.ice);
      session.transport.close();
      expect([endpoint.transportCount, endpoint.tableSize]).toEqual([0, 0]);
      await other.close();
      peers.pop();
    }
  });

  test('hostile datagrams are dropped and counted, and change nothing', async () => {
    const { other, session } = await connected();
    const stranger = await peer();
    const table = endpoint.tableSize;
    const valid = stunCheck({ username: `${session.local.ufrag}:peer`, password: 'guess', useCandidate: true });
    const samples = fc.sample(
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc
          .uint8Array({ minLength: 1, maxLength: 100 })
          .map((bytes) => Uint8Array.of(128 + (bytes[0] ?? 0) / 4, ...bytes)),
        fc.uint8Array({ maxLength: 100 }).map((bytes) => Uint8Array.of(22, 254, 253, 0, 0, ...bytes)),
        fc.tuple(fc.nat(valid.length - 1), fc.nat(255)).map(([at, value]) => {
          const data = Buffer.from(valid);
          data.writeUInt8(value, at);
          return data;
        }),
      ),
      10_000,
    );
    const before = endpoint.counters.received;
    for (let sent = 0; sent < samples.length; sent += BATCH) {
      for (const sample of samples.slice(sent, sent + BATCH)) {
        (sample.length % 2 === 0 ? stranger : other).send(Buffer.from(sample));
      }
      // No more on the way than the socket's buffer holds: what arrives is what was tried.
      await eventually(() => expect(endpoint.counters.received - before).toBeGreaterThanOrEqual(sent + BATCH));
    }

    expect((await other.check(session.local)).type).toBe(0x0101);
    expect(session.log).toEqual(['connected']);
    expect(endpoint.tableSize).toBe(table);
    const { unknownAddress, unknownCheck, unknownType } = endpoint.counters;
    expect(Math.min(unknownAddress, unknownCheck, unknownType)).toBeGreaterThan(500);
    expect(session.transport.remoteAddress).toBe(`127.0.0.1:${other.port}`);
  });
});
