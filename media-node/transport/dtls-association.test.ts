import { beforeAll, describe, expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import type { DtlsCertificate } from './certificate.ts';
import { matchesFingerprint } from './dtls-crypto.ts';
import { DtlsEnd, DtlsPair, freshCertificate, PERFECT, type Wire } from './testing/dtls-pair.ts';
import { seededRandom } from './testing/seeded.ts';

let alice: DtlsCertificate;
let bob: DtlsCertificate;
beforeAll(async () => {
  alice = await freshCertificate();
  bob = await freshCertificate();
});

function lossy(seed: number, loss: number): Wire {
  const random = seededRandom(seed);
  const held: Record<'client' | 'server', Buffer[]> = { client: [], server: [] };
  return {
    carry(datagram, from) {
      if (random() < loss) return [];
      // Some come twice, some come later than the next one.
      const copies = random() < 0.1 ? [datagram, datagram] : [datagram];
      if (random() < 0.1) {
        held[from].push(...copies);
        return [];
      }
      return [...copies, ...held[from].splice(0)];
    },
  };
}

function pair(wire: Wire = PERFECT): DtlsPair {
  return new DtlsPair({ certificate: alice }, { certificate: bob }, wire).start();
}

/** Both ends when the client has sent its last flight, at 0 ms, and the server has not got it. */
function finishing(): DtlsPair & { flight: Buffer[] } {
  const dtls = pair();
  for (const hello of dtls.client.outbox.splice(0)) dtls.server.association.receive(hello, 0);
  for (const datagram of dtls.server.outbox.splice(0)) dtls.client.association.receive(datagram, 0);
  return Object.assign(dtls, { flight: dtls.client.outbox.splice(0) });
}

describe('the handshake', () => {
  test('takes four datagrams, prefers GCM, and gives both ends the same keys', () => {
    const { client, server, datagrams } = pair().run(1_000);

    expect(client.log).toEqual(['connected']);
    expect(server.log).toEqual(['connected']);
    expect(client.keys?.profile).toBe('AEAD_AES_128_GCM');
    expect(client.keys?.localKey).toEqual(server.keys?.remoteKey);
    expect(client.keys?.remoteSalt).toEqual(server.keys?.localSalt);
    expect(client.keys?.localKey).not.toEqual(client.keys?.remoteKey);
    expect([client.keys?.localKey.length, client.keys?.localSalt.length]).toEqual([16, 12]);
    // ClientHello, the server's flight, the client's (with Finished), the server's Finished.
    expect(datagrams).toBe(4);
  });

  test('a server that nobody answers repeats itself a few times, and whenever the client repeats its hello', () => {
    const { client, server } = pair();
    const [hello] = client.outbox;
    if (hello === undefined) throw new Error('no hello');
    server.association.receive(hello, 0);
    const flight = server.outbox.splice(0).length;
    const flightsUntil = (fromMs: number, untilMs: number): number => {
      for (let nowMs = fromMs; nowMs < untilMs; nowMs += 50) server.association.tick(nowMs);
      return server.outbox.splice(0).length / flight;
    };
    expect(flightsUntil(0, 42_000)).toBe(7);
    expect(server.association.retransmitAtMs).toBe(Number.POSITIVE_INFINITY);
    server.association.receive(hello, 43_000);
    expect(flightsUntil(43_000, 60_000)).toBe(1);
    // It still is whom the client may shake hands with.
    server.association.receive(hello, 61_000);
    for (const datagram of server.outbox.splice(0)) client.association.receive(datagram, 61_000);
    for (const datagram of client.outbox.splice(1)) server.association.receive(datagram, 61_000);
    expect(server.log).toEqual(['connected']);
  });

  test('what a server has but to finish is sent again after so long that none is still at it', () => {
    const { client, flight } = finishing();
    for (let nowMs = 0; nowMs < 1_000; nowMs += 10) client.association.tick(nowMs);
    expect(client.outbox).toEqual([]);
    for (let nowMs = 1_000; nowMs < 1_300; nowMs += 10) client.association.tick(nowMs);
    expect(client.outbox).toHaveLength(flight.length);
  });

  test('a server that repeats itself as if it had not got it is sent it again, once for all of its datagrams', () => {
    const { client, server, flight } = finishing();
    server.association.tick(60);
    for (const datagram of server.outbox.splice(0)) {
      client.association.receive(datagram, 60);
      client.association.receive(datagram, 90);
    }
    expect(client.outbox).toEqual([]);
    for (let nowMs = 90; nowMs < 400; nowMs += 10) client.association.tick(nowMs);
    expect(client.outbox).toHaveLength(flight.length);
  });

  test('a server that stood still repeats itself before it answers, and is sent nothing after its answer', () => {
    const { client, server, flight } = finishing();
    server.association.tick(60);
    for (const datagram of flight) server.association.receive(datagram, 60);
    const both = server.outbox.splice(0);
    expect(both.length).toBeGreaterThan(1);
    for (const [index, datagram] of both.entries()) client.association.receive(datagram, 900 + 30 * index);
    for (let nowMs = 900; nowMs < 4_000; nowMs += 10) client.association.tick(nowMs);
    expect(client.log).toEqual(['connected']);
    expect(client.outbox).toEqual([]);
  });

  test('after a stop the answer that waits in the socket, or that a slow server has yet to give, comes before any repetition', () => {
    const { client, server, flight } = finishing();
    // It stood still twice, and for almost as long as the flight has while it was made.
    for (const nowMs of [510, 900, 1_700, 2_190]) client.association.tick(nowMs);
    expect(client.outbox).toEqual([]);

    for (const datagram of flight) server.association.receive(datagram, 10);
    for (const datagram of server.outbox.splice(0)) client.association.receive(datagram, 2_195);
    client.association.tick(4_000);
    expect(client.log).toEqual(['connected']);
    expect(client.outbox).toEqual([]);
  });

  test('who does not answer after some stops is asked again', () => {
    const { client } = pair();
    client.outbox.splice(0);
    for (let stops = 0; stops < 3; stops++) client.association.tick(client.association.retransmitAtMs + 900);
    expect(client.outbox).toEqual([]);
    client.association.tick(client.association.retransmitAtMs + 900);
    expect(client.outbox).not.toEqual([]);
  });

  test.each([0.05, 0.2, 0.3])('survives loss of %d within the 5 s that FFmpeg gives', (loss) => {
    for (let seed = 1; seed <= 20; seed++) {
      const { client, server, nowMs } = pair(lossy(seed, loss)).run(20_000);
      expect({ seed, client: client.log, server: server.log }).toEqual({
        seed,
        client: ['connected'],
        server: ['connected'],
      });
      expect(client.keys?.localKey).toEqual(server.keys?.remoteKey);
      expect(nowMs).toBeLessThan(5_000);
    }
  });

  test('costs nothing afterwards: no datagram, whatever the clock says', () => {
    const dtls = pair().run(1_000);
    const before = dtls.datagrams;
    for (const nowMs of [1_000, 10_000, 100_000]) {
      dtls.client.association.tick(nowMs);
      dtls.server.association.tick(nowMs);
      dtls.flush();
    }
    expect(dtls.datagrams).toBe(before);
  });
});

describe('the peer', () => {
  test.each(['client', 'server'] as const)('with another certificate than was promised is refused by the %s', (who) => {
    const refuse = { certificate: who === 'client' ? alice : bob, accepts: () => false };
    const dtls = new DtlsPair(
      who === 'client' ? refuse : { certificate: alice },
      who === 'server' ? refuse : { certificate: bob },
    ).start();

    dtls.run(1_000);

    expect(dtls[who].log).toEqual(['failed']);
    expect(dtls[who].keys).toBeNull();
    // The alert tells the other end, too.
    expect(dtls[who === 'client' ? 'server' : 'client'].log).toEqual(['failed']);
  });

  test.each(['client', 'server'] as const)('a %s that shows a certificate whose key it lacks is refused', (who) => {
    const fingerprints = [alice.fingerprint];
    const thief = { certificate: { ...alice, privateKey: bob.privateKey } };
    const victim = { certificate: bob, accepts: (der: Buffer) => matchesFingerprint(der, fingerprints) };
    const dtls = new DtlsPair(who === 'client' ? thief : victim, who === 'client' ? victim : thief).start();

    dtls.run(1_000);

    expect(dtls[who === 'client' ? 'server' : 'client'].log).toEqual(['failed']);
  });

  test('that meddles with the hello is found out by Finished', () => {
    // Drops the X25519 group from the offer: a downgrade by somebody on the path.
    const groups = Buffer.from('000a00060004001d0017', 'hex');
    const dtls = pair({
      carry(datagram, from) {
        const at = from === 'client' ? datagram.indexOf(groups) : -1;
        if (at >= 0) datagram.writeUInt16BE(0x0017, at + 6);
        return [datagram];
      },
    }).run(1_000);

    expect(dtls.server.keys).toBeNull();
    expect(dtls.server.log).toEqual(['failed']);
  });
});

describe('application data and alerts', () => {
  test('data goes both ways, each record once', () => {
    const dtls = pair({ carry: (datagram) => [datagram, datagram] }).run(1_000);

    dtls.client.association.sendApplicationData(Buffer.from('ping'));
    dtls.server.association.sendApplicationData(Buffer.from('pong'));
    dtls.flush();

    expect(dtls.server.data).toEqual(['ping']);
    expect(dtls.client.data).toEqual(['pong']);
  });

  test.each(['client', 'server'] as const)('close_notify of the %s ends the other end', (who) => {
    const dtls = pair().run(1_000);

    dtls[who].association.close();
    dtls[who].association.close();
    dtls.flush();

    expect(dtls[who].log).toEqual(['connected']);
    expect(dtls[who === 'client' ? 'server' : 'client'].log).toEqual(['connected', 'closed']);
  });

  test('a plain close_notify ends nothing once connected', () => {
    const dtls = pair().run(1_000);
    const forged = Buffer.from('15fefd000000000000ffff00020100', 'hex');

    dtls.client.association.receive(forged, dtls.nowMs);
    dtls.server.association.receive(forged, dtls.nowMs);

    expect(dtls.client.log).toEqual(['connected']);
    expect(dtls.server.log).toEqual(['connected']);
  });

  test('a late ClientHello does not reset the association', () => {
    const stranger = new DtlsEnd('client', { certificate: alice });
    stranger.association.start(0);
    const dtls = pair().run(1_000);

    for (const hello of stranger.outbox) dtls.server.association.receive(hello, dtls.nowMs);
    dtls.flush();
    dtls.client.association.sendApplicationData(Buffer.from('still here'));
    dtls.flush();

    expect(dtls.server.data).toEqual(['still here']);
  });
});

describe('hostile datagrams', () => {
  test('never throw, in any state', () => {
    const recorded: Buffer[] = [];
    pair({
      carry(datagram) {
        recorded.push(Buffer.from(datagram));
        return [datagram];
      },
    }).run(1_000);
    const mutated = fc
      .tuple(fc.nat(recorded.length - 1), fc.array(fc.tuple(fc.nat(1_199), fc.nat(255)), { maxLength: 5 }), fc.nat(40))
      .map(([index, changes, cut]) => {
        const data = Buffer.from(recorded[index] ?? Buffer.alloc(0));
        for (const [at, value] of changes) if (at < data.length) data.writeUInt8(value, at);
        return data.subarray(0, data.length - (cut > 30 ? cut - 30 : 0));
      });
    const random = fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes));
    const header = Buffer.from('16fefd00000000000000000000', 'hex');
    const handshake = random.map((bytes) => {
      const head = Buffer.from(header);
      head.writeUInt16BE(bytes.length, 11);
      return Buffer.concat([head, bytes]);
    });

    fc.assert(
      fc.property(
        fc.array(fc.oneof(mutated, mutated, random, handshake), { minLength: 1, maxLength: 3 }),
        (datagrams) => {
          for (const role of ['client', 'server'] as const) {
            const end = new DtlsEnd(role, { certificate: alice });
            end.association.start(0);
            for (const datagram of datagrams) end.association.receive(datagram, 0);
            end.association.tick(1_000);
            // Nobody who was not asked gets connected: the recorded Finished belong to other randoms.
            expect(end.keys).toBeNull();
          }
        },
      ),
      { numRuns: 5_000 },
    );
  });

  test('a hello that is repeated without end, perhaps from a forged address, is answered a bounded number of times', () => {
    const { client, server } = pair();
    const [hello = Buffer.alloc(0)] = client.outbox;
    for (let nowMs = 0; nowMs < 60_000; nowMs += 50) server.association.receive(hello, nowMs);
    expect(server.outbox.length).toBeGreaterThan(10);
    expect(server.outbox.reduce((sum, { length }) => sum + length, 0)).toBeLessThan(40_000);
  });

  test('of a datagram of forged records one is tried, and what comes before it counts', () => {
    const dtls = pair().run(1_000);
    const forged = Buffer.alloc(13 + 24);
    forged.set([23, 0xfe, 0xfd, 0, 1, 0xff]);
    forged.writeUInt16BE(24, 11);
    dtls.client.association.sendApplicationData(Buffer.from('good'));
    dtls.client.association.sendApplicationData(Buffer.from('behind it'));
    const [good = forged, behind = forged] = dtls.client.outbox.splice(0);

    expect(dtls.server.association.receive(Buffer.concat([good, forged, behind]), dtls.nowMs)).toBe(true);
    expect(dtls.server.data).toEqual(['good']);
    dtls.server.association.receive(behind, dtls.nowMs);
    expect(dtls.server.data).toEqual(['good', 'behind it']);
  });

  test('on an established association change nothing', () => {
    const dtls = pair().run(1_000);
    const random = seededRandom(7);
    for (let i = 0; i < 10_000; i++) {
      const datagram = Buffer.from(Array.from({ length: Math.floor(random() * 80) }, () => Math.floor(random() * 256)));
      if (datagram.length > 13) {
        datagram.writeUInt8(20 + Math.floor(random() * 4), 0);
        datagram.writeUInt16BE(0xfefd, 1);
        datagram.writeUInt16BE(i % 2, 3);
        datagram.writeUInt16BE(datagram.length - 13, 11);
      }
      dtls.server.association.receive(datagram, dtls.nowMs);
      dtls.client.association.receive(datagram, dtls.nowMs);
    }

    dtls.flush();
    dtls.client.association.sendApplicationData(Buffer.from('ping'));
    dtls.flush();

    expect(dtls.server.data).toEqual(['ping']);
    expect(dtls.server.log).toEqual(['connected']);
  });
});
