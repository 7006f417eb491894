import { expect, test } from 'vitest';
import { type LobbyId, mintBootId, type NodeId } from '../../shared/ids.ts';
import { type Hello, helloSchema, type Report } from '../../shared/protocol/control.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { credibleHello, credibleReport } from './credible.ts';

const HELLO: Hello = {
  type: 'hello',
  protocol: 2,
  node: 'a' as NodeId,
  boot: mintBootId(),
  version: '1',
  region: 'fra',
  addresses: ['192.0.2.1:8840'],
  engine: 'portable',
  capacity: { sessions: 100 },
  ingress: [],
  lobbies: [],
  load: { sessions: 0, packetsPerSecond: 0, cpu: 0 },
};
const ROOM = 'room:r' as LobbyId;

test('an honest node is taken at its word', () => {
  const relays = { from: ['b' as NodeId], to: ['c' as NodeId, 'd' as NodeId] };
  const lobbies = [{ lobby: ROOM, subscribers: 3, relays }];
  const hello: Hello = { ...HELLO, lobbies, load: { ...HELLO.load, sessions: 4 } };
  expect(credibleHello(hello)).toEqual({ said: hello, complaints: [] });
});

test.each<[string, Partial<Hello>, Partial<Hello>]>([
  ['room for everybody', { capacity: { sessions: 1e12 } }, { capacity: { sessions: 100_000 } }],
  ['a region that writes the log', { region: 'fra\nnode b: gone' }, { region: 'franode b: gone' }],
  ['a novel for a version', { version: 'x'.repeat(1e6) }, { version: 'x'.repeat(64) }],
  ['a thousand addresses', { addresses: Array(1000).fill('1.2.3.4:1') }, { addresses: Array(32).fill('1.2.3.4:1') }],
  [
    'relays to the whole world',
    { lobbies: [{ lobby: ROOM, subscribers: 0, relays: { from: [], to: Array<NodeId>(30_000).fill('b' as NodeId) } }] },
    { lobbies: [{ lobby: ROOM, subscribers: 0 }] },
  ],
  [
    'nothing to do, and a full house',
    { lobbies: [{ lobby: ROOM, subscribers: 80 }] },
    { load: { sessions: 80, packetsPerSecond: 0, cpu: 0 } },
  ],
])('who claims %s is corrected and complained about', (_, claims, expected) => {
  const { said, complaints } = credibleHello({ ...HELLO, ...claims });
  expect(said).toMatchObject(expected);
  expect(complaints).toHaveLength(1);
});

test('whatever a report claims, the viewers of all rooms cannot be more than a machine can have', () => {
  const load = fc.record({
    sessions: fc.nat(),
    packetsPerSecond: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    cpu: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
    bytesOutPerSecond: fc.double({ min: 0, noNaN: true, noDefaultInfinity: true }),
  });
  const lobbies = fc.array(fc.record({ lobby: fc.constant(ROOM), subscribers: fc.maxSafeNat() }), { maxLength: 5 });
  fc.assert(
    fc.property(load, lobbies, (claimedLoad, claimed) => {
      const report: Report = { type: 'report', ingress: [], lobbies: claimed, load: claimedLoad };
      const { said } = credibleReport(report);
      const viewers = said.lobbies.reduce((sum, one) => sum + one.subscribers, 0);
      expect(viewers).toBeLessThanOrEqual(100_000);
      expect(said.load.sessions).toBeGreaterThanOrEqual(viewers);
      expect(helloSchema.safeParse({ ...HELLO, load: said.load, lobbies: said.lobbies }).success).toBe(true);
    }),
  );
});
