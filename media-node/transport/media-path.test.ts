/** Where media goes when a peer lies about where it is: peers on real sockets. */
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import type { DtlsCertificate } from './certificate.ts';
import { mintIceCredentials } from './ice-credentials.ts';
import { MAX_ASKS } from './path-machine.ts';
import { DtlsEnd, freshCertificate } from './testing/dtls-pair.ts';
import { eventually } from './testing/eventually.ts';
import { NO_PEER, openLoopback, openSession, type Session } from './testing/session.ts';
import { openUdpPeer, type UdpPeer } from './testing/udp-peer.ts';
import type { UdpMediaEndpoint } from './udp-endpoint.ts';

let certificate: DtlsCertificate;
let endpoint: UdpMediaEndpoint;
const peers: UdpPeer[] = [];

beforeAll(async () => {
  certificate = await freshCertificate();
});
beforeEach(async () => {
  endpoint = await openLoopback();
});
afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.close();
  await endpoint.close();
  expect(endpoint.tableSize).toBe(0);
});

async function openPeer(consents = true): Promise<UdpPeer> {
  const peer = await openUdpPeer(endpoint.candidates[0]?.port ?? 0);
  peer.consents = consents;
  peers.push(peer);
  return peer;
}

function open(): Session {
  return openSession(endpoint, { remote: { ...NO_PEER, fingerprints: [certificate.fingerprint] } });
}

test('a neighbour that a peer names for itself is asked, and gets no media', async () => {
  const [peer, neighbour] = [await openPeer(), await openPeer(false)];
  const session = open();
  await peer.check(session.local, { useCandidate: true });
  peer.dtls('client', certificate);
  await eventually(() => expect(session.log).toEqual(['connected']));
  expect(peer.asked).toBe(0);

  // What the peer would send under the neighbour's address.
  await neighbour.check(session.local, { useCandidate: true });
  const startMs = performance.now();
  for (let elapsedMs = 0; elapsedMs < 2_000; elapsedMs += 50) endpoint.tick(startMs + elapsedMs);
  await eventually(() => expect(neighbour.asked).toBe(MAX_ASKS));
  session.transport.send(Buffer.from([0x90, 1]));
  await eventually(() => expect(peer.received).toContainEqual(Buffer.from([0x90, 1])));
  expect(session.transport.remoteAddress).toBe(`127.0.0.1:${peer.port}`);

  // One that is there says so.
  neighbour.consents = true;
  await neighbour.check(session.local, { useCandidate: true });
  await eventually(() => expect(session.transport.remoteAddress).toBe(`127.0.0.1:${neighbour.port}`));
  session.transport.send(Buffer.from([0x90, 2]));
  await eventually(() => expect(neighbour.received).toContainEqual(Buffer.from([0x90, 2])));
});

test('who nominates all pairs, as Firefox does, gets media where it shook hands, and not where it nominated last', async () => {
  const [best, other] = [await openPeer(), await openPeer()];
  const session = open();
  await best.check(session.local, { useCandidate: true });
  await other.check(session.local, { useCandidate: true });
  best.dtls('client', certificate);
  await eventually(() => expect(session.log).toEqual(['connected']));

  session.transport.send(Buffer.from([0x90, 1]));
  await eventually(() => expect(best.received).toContainEqual(Buffer.from([0x90, 1])));
  expect([other.asked, session.transport.remoteAddress]).toEqual([0, `127.0.0.1:${best.port}`]);

  // Who changes its mind says so.
  await other.check(session.local, { useCandidate: true });
  await eventually(() => expect(session.transport.remoteAddress).toBe(`127.0.0.1:${other.port}`));
});

test('a handshake that ends elsewhere than it began shows nothing: media waits for an answer', async () => {
  const [peer, neighbour] = [await openPeer(), await openPeer(false)];
  const session = open();
  await peer.check(session.local);
  await neighbour.check(session.local);
  const end = new DtlsEnd('client', { certificate });
  end.association.start(performance.now());
  for (const datagram of end.outbox.splice(0)) peer.send(datagram);
  const isDtls = (data: Buffer): boolean => data[0] === 22;
  await eventually(() => expect(peer.received.filter(isDtls).length).toBeGreaterThan(0));
  await eventually(() => {
    for (const datagram of peer.received.splice(0).filter(isDtls)) end.association.receive(datagram, performance.now());
    expect(end.outbox.length).toBeGreaterThan(0);
  });

  for (const datagram of end.outbox.splice(0)) neighbour.send(datagram);
  await eventually(() => expect(neighbour.asked).toBeGreaterThan(0));
  expect([session.log, session.transport.remoteAddress]).toEqual([[], null]);

  await peer.check(session.local, { useCandidate: true });
  await eventually(() => expect(session.log).toEqual(['connected']));
  expect(session.transport.remoteAddress).toBe(`127.0.0.1:${peer.port}`);
});

test('who moves before any of its restarts has come through is asked with the credentials that it still uses', async () => {
  const [before, after] = [await openPeer(), await openPeer()];
  const session = open();
  await before.check(session.local, { useCandidate: true });
  before.dtls('client', certificate);
  await eventually(() => expect(session.log).toEqual(['connected']));

  // The answer to the first PATCH request is lost with the network, and that to the second one has not come yet.
  for (let restarts = 0; restarts < 2; restarts++) {
    session.transport.restartIce(mintIceCredentials(), mintIceCredentials());
  }
  await after.check(session.local, { useCandidate: true });

  await eventually(() => expect(session.transport.remoteAddress).toBe(`127.0.0.1:${after.port}`));
});
