import { setImmediate } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { HandshakeQueue } from './handshake-queue.ts';
import type { PeerAddress } from './ice-lite-machine.ts';

const FROM: PeerAddress = { address: '127.0.0.1', port: 9, socket: 0 };

/** Notes what it is given; `costMs` of the processor each time, like a handshake. */
class Joiner {
  readonly handled: string[] = [];
  readonly #name: string;
  readonly #log: string[];
  readonly #costMs: number;
  onHandled: () => void = () => {};

  constructor(name: string, log: string[], costMs = 0) {
    this.#name = name;
    this.#log = log;
    this.#costMs = costMs;
  }

  receiveDeferred(datagram: Buffer, from: PeerAddress | null): void {
    const end = performance.now() + this.#costMs;
    while (performance.now() < end);
    this.handled.push(`${datagram}${from === null ? ' media' : ''}`);
    this.#log.push(this.#name);
    this.onHandled();
  }
}

const rethrow = (error: unknown): never => {
  throw error;
};

test('everybody gets a turn, in order, and media stays behind the handshake', async () => {
  const queue = new HandshakeQueue(rethrow);
  const log: string[] = [];
  const [a, b] = [new Joiner('a', log), new Joiner('b', log)];
  const reused = Buffer.from('1');
  queue.push(a, reused, FROM);
  reused[0] = 0x32;
  queue.push(a, reused, FROM);
  queue.push(a, Buffer.from('3'), null);
  queue.push(b, Buffer.from('x'), FROM);
  expect([log, queue.has(a)]).toEqual([[], true]);
  while (queue.has(a) || queue.has(b)) await setImmediate();

  expect(log).toEqual(['a', 'b', 'a', 'a']);
  expect([a.handled, b.handled]).toEqual([['1', '2', '3 media'], ['x']]);
});

test('a hundred joins at once leave the event loop its turns', async () => {
  const queue = new HandshakeQueue(rethrow);
  const log: string[] = [];
  const joiners = Array.from({ length: 100 }, (_, i) => new Joiner(String(i), log, 1));
  for (const joiner of joiners) queue.push(joiner, Buffer.from('hello'), FROM);
  const perTurn: number[] = [];
  for (let before = 0; log.length < joiners.length; before = log.length) {
    await setImmediate();
    perTurn.push(log.length - before);
  }
  // A slice is 3 ms, and each costs one: never more than three or four, however slow the machine.
  expect(Math.max(...perTurn)).toBeLessThanOrEqual(4);
});

test('what one does not take in is dropped and counted; one that leaves or fails costs the others nothing', async () => {
  const faults: unknown[] = [];
  const queue = new HandshakeQueue((error) => void faults.push(error));
  const log: string[] = [];
  const [greedy, failing, leaving, last] = ['greedy', 'failing', 'leaving', 'last'].map(
    (name) => new Joiner(name, log),
  );
  if (greedy === undefined || failing === undefined || leaving === undefined || last === undefined) throw new Error();
  for (let i = 0; i < 70; i++) queue.push(greedy, Buffer.from('x'), FROM);
  expect(queue.dropped).toBe(6);
  for (const joiner of [failing, leaving, last]) queue.push(joiner, Buffer.from('x'), FROM);
  queue.push(failing, Buffer.from('y'), FROM);
  failing.onHandled = () => {
    queue.remove(leaving);
    queue.remove(failing);
    throw new Error('of one');
  };
  while (queue.has(greedy) || queue.has(last)) await setImmediate();

  expect([greedy.handled.length, failing.handled.length, leaving.handled.length, last.handled.length]).toEqual([
    64, 1, 0, 1,
  ]);
  expect(faults).toHaveLength(1);
});
