/** Where clients are followed to, by the checks that each of them sends. */
import { beforeEach, expect, test } from 'vitest';
import { type DatagramSocket, NO_KEYRING } from './datagram-socket.ts';
import { type DatagramMember, Demultiplexer } from './demultiplexer.ts';
import { LiteIceAgent } from './lite-ice-agent.ts';
import { ABANDONED_MS } from './path-machine.ts';
import { bindingSuccess, parseBindingRequest } from './stun.ts';
import { stunCheck } from './testing/stun-check.ts';

const OURS = { ufrag: 'ours', pwd: 'our-password-is-long-enough' };
const THEIRS = { ufrag: 'theirs', pwd: 'their-password-is-long-enough' };
/** RFC 7675 §5.1, at the longest. */
const CONSENT_MS = 6_000;

const at = (port: number) => ({ address: '192.0.2.1', port, socket: 0 });

let agent: LiteIceAgent<DatagramMember>;
/** Ports of the peer that questions for consent get through to. */
let alive: Set<number>;
/** Ports whose datagrams are the peer's. */
let claims: Set<number>;

beforeEach(() => {
  alive = new Set();
  claims = new Set();
  const socket = {
    send(datagram: Buffer, _address: string, port: number): void {
      const question = parseBindingRequest(datagram);
      if (question === null || !alive.has(port)) return;
      const answer = bindingSuccess(question, '198.51.100.1', 5_000, THEIRS.pwd);
      queueMicrotask(() => agent.receiveAnswer(answer, at(port), 0));
    },
    claim: (_address, port) => void claims.add(port),
    release: (_address, port) => void claims.delete(port),
  } as Partial<DatagramSocket<DatagramMember>> as DatagramSocket<DatagramMember>;
  const network = new Demultiplexer<DatagramMember>([socket], (error) => {
    throw error;
  });
  const owner = { keyring: NO_KEYRING } as DatagramMember;
  agent = new LiteIceAgent(network, owner, OURS, { onAlive() {}, onNominated() {}, onMoved() {} });
  agent.setRemote(THEIRS);
});

/** A check from this port of the peer; what it leads to has happened when it resolves. */
async function check(port: number, useCandidate: boolean, nowMs: number): Promise<void> {
  const message = stunCheck({ username: `${OURS.ufrag}:${THEIRS.ufrag}`, password: OURS.pwd, useCandidate });
  const request = parseBindingRequest(message);
  if (request === null) throw new Error('a malformed check');
  agent.receiveCheck(request, at(port), nowMs);
  await Promise.resolve();
}

test('Firefox, whose NAT gives it another port: it asks for consent from there, and nominates nothing', async () => {
  alive.add(1);
  await check(1, true, 0);
  agent.begin(at(1), at(1), 10);
  await check(1, false, CONSENT_MS);
  alive = new Set([2]);

  await check(2, false, 2 * CONSENT_MS);
  await check(2, false, 3 * CONSENT_MS);

  expect(agent.path).toEqual(at(2));
});

test('a check that is repeated from forged addresses takes the path from nobody', async () => {
  alive.add(1);
  await check(1, true, 0);
  agent.begin(at(1), at(1), 10);

  for (let port = 1_000; port < 1_100; port++) await check(port, true, port);

  expect([agent.path, claims.has(1)]).toEqual([at(1), true]);
  expect(claims.size).toBeLessThan(10);
});

test('a backup pair that is checked now and then gets no media while the nominated one is checked', async () => {
  alive = new Set([1, 2]);
  await check(1, true, 0);
  agent.begin(at(1), at(1), 10);
  for (let nowMs = 0; nowMs < 5 * ABANDONED_MS; nowMs += CONSENT_MS) {
    await check(1, true, nowMs);
    await check(2, false, nowMs + CONSENT_MS - 1);
  }

  expect(agent.path).toEqual(at(1));
});
