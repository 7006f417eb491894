/** What is sent again, and when: told chunk by chunk, on a clock of the test's own. */
import { describe, expect, test } from 'vitest';
import { CHUNK_DATA_BYTES, SctpOutbound } from './sctp-outbound.ts';
import { tsnAdd } from './sctp-packet.ts';

const ROUND_TRIP_MS = 40;
const WINDOW_BYTES = 1024 * 1024;
const IMMEDIATE = 0x08;
/** What the first timeout is at least. */
const TIMEOUT_MS = 300;
/** The first TSN that a test sends; those before it went round the end of their space. */
const FIRST_TSN = 3;
const WARM_UP = 8;

/** A sender, and a peer that says what the test tells it to. */
class Sender {
  readonly sent: { tsn: number; atMs: number; flags: number }[] = [];
  /** What was planned when the last chunk was sent: a transport asks then, and not afterwards. */
  plannedMs = Number.POSITIVE_INFINITY;
  nowMs = 0;
  readonly outbound = new SctpOutbound(tsnAdd(FIRST_TSN, -WARM_UP), WINDOW_BYTES, ({ tsn, flags }) => {
    this.sent.push({ tsn, atMs: this.nowMs, flags });
    this.plannedMs = this.outbound.nextTickMs;
  });

  /** After chunks from which it knows the path. */
  constructor() {
    for (let left = WARM_UP; left > 0; left--) {
      this.send(1);
      this.nowMs += ROUND_TRIP_MS;
      this.sack(tsnAdd(FIRST_TSN, -left));
    }
    this.sent.length = 0;
  }

  send(chunks: number): void {
    this.outbound.enqueue(0, 53, Buffer.alloc(chunks * CHUNK_DATA_BYTES), true, this.nowMs);
  }

  sack(cumulative: number, gaps: [number, number][] = [], windowBytes = WINDOW_BYTES): void {
    const body = Buffer.alloc(12 + 4 * gaps.length);
    body.writeUInt32BE(cumulative, 0);
    body.writeUInt32BE(windowBytes, 4);
    body.writeUInt16BE(gaps.length, 8);
    for (const [index, [first, last]] of gaps.entries()) {
      body.writeUInt16BE(first - cumulative, 12 + 4 * index);
      body.writeUInt16BE(last - cumulative, 14 + 4 * index);
    }
    this.outbound.acknowledge(body, this.nowMs);
  }

  /** Nothing is heard for so long. @returns whether it goes on trying */
  wait(ms: number): boolean {
    const untilMs = this.nowMs + ms;
    while (this.outbound.nextTickMs <= untilMs) {
      this.nowMs = this.outbound.nextTickMs;
      if (!this.outbound.tick(this.nowMs)) return false;
    }
    this.nowMs = untilMs;
    return true;
  }

  /** The TSNs that were sent since the last call. */
  take(): number[] {
    return this.sent.splice(0).map(({ tsn }) => tsn);
  }
}

test.each([1, 3])('a transport that sends %i chunks learns with the last one when to be back', (chunks) => {
  const sender = new Sender();
  sender.send(chunks);
  expect(sender.plannedMs).toBe(sender.outbound.nextTickMs);
  expect(sender.plannedMs - sender.nowMs).toBeLessThan(TIMEOUT_MS);
});

describe('what is lost', () => {
  test('is sent again, once, when three that were sent later have arrived', () => {
    const sender = new Sender();
    sender.send(8);
    expect(sender.take()).toEqual([3, 4, 5, 6, 7, 8, 9, 10]);

    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(2, [[4, 4]]);
    sender.sack(2, [[4, 5]]);
    expect(sender.take()).toEqual([]);
    for (const last of [6, 7, 8, 9, 10]) sender.sack(2, [[4, last]]);

    expect(sender.take()).toEqual([3]);
  });

  test('is found by one SACK when those before it were lost', () => {
    const sender = new Sender();
    sender.send(8);
    sender.take();

    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(3, [
      [5, 6],
      [8, 10],
    ]);

    expect(sender.take()).toEqual([4, 7]);
  });

  test('is sent again at once, though more is on the way than the window now allows', () => {
    const sender = new Sender();
    sender.send(100);
    const flight = sender.take().length;

    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(2, [[4, 6]]);

    expect(flight).toBe(10);
    expect(sender.take()).toEqual([3]);
  });

  test('and lost once more is found by what was sent after it, without a timeout', () => {
    const sender = new Sender();
    sender.send(40);
    const before = sender.take().at(-1) ?? 0;
    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(2, [[4, before]]);
    const [again, ...later] = sender.take();
    expect([again, later.length > 3]).toEqual([3, true]);

    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(2, [[4, later.at(-1) ?? 0]]);

    expect(sender.take()[0]).toBe(3);
  });

  test('among the last two is sent again when its answer is overdue, not at the timeout', () => {
    const sender = new Sender();
    sender.send(2);
    sender.take();
    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(2, [[4, 4]]);
    expect(sender.take()).toEqual([]);

    sender.wait(3 * ROUND_TRIP_MS);

    expect(sender.take()[0]).toBe(3);
  });

  test('at the very end is asked for, ever more seldom, and only then is it a timeout', () => {
    const sender = new Sender();
    const startMs = sender.nowMs;
    sender.send(3);
    sender.take();

    sender.wait(TIMEOUT_MS - 1);
    const probes = sender.sent.splice(0).map(({ tsn, atMs, flags }) => [tsn, atMs - startMs, flags & IMMEDIATE]);
    expect(probes.map(([tsn]) => tsn)).toEqual([5, 5]);
    expect(probes[0]?.[1]).toBeLessThan(3 * ROUND_TRIP_MS);
    expect(probes.map(([, , flag]) => flag)).toEqual([IMMEDIATE, IMMEDIATE]);

    sender.wait(TIMEOUT_MS);
    expect(sender.take()[0]).toBe(3);
  });

  test('is the answer to a probe: everything before it is sent again at once', () => {
    const sender = new Sender();
    sender.send(4);
    sender.take();
    sender.wait(3 * ROUND_TRIP_MS);
    expect(sender.take()[0]).toBe(6);

    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(2, [[6, 6]]);

    expect(sender.take()).toEqual([3, 4, 5]);
  });
});

test('an answer that comes too soon after a repetition is one to the first time, and condemns nothing', () => {
  const sender = new Sender();
  sender.send(8);
  sender.wait(2 * ROUND_TRIP_MS);
  expect(sender.take().at(-1)).toBe(10);

  sender.nowMs += ROUND_TRIP_MS / 8;
  sender.sack(2, [[10, 10]]);
  expect(sender.take()).toEqual([]);

  sender.nowMs += ROUND_TRIP_MS / 8;
  sender.sack(10);
  expect(sender.take()).toEqual([]);
});

test('packets that overtake each other are noticed: then only time tells what is lost', () => {
  const sender = new Sender();
  sender.send(30);
  sender.take();
  sender.nowMs += ROUND_TRIP_MS;
  sender.sack(2, [[4, 4]]);
  sender.sack(4);
  sender.take();

  sender.sack(4, [[6, 10]]);
  expect(sender.take()).not.toContain(5);
  sender.wait(2 * ROUND_TRIP_MS);
  expect(sender.take()).toContain(5);
});

describe('timeouts', () => {
  /** How long it takes until the first of two chunks is sent again when nothing is heard. */
  const timeout = (sender: Sender): number => {
    const { nowMs } = sender;
    const first = sender.outbound.lastTsn + 1;
    sender.send(2);
    sender.wait(10_000);
    const again = sender.sent.filter(({ tsn }) => tsn === first).at(1);
    return (again?.atMs ?? Number.POSITIVE_INFINITY) - nowMs;
  };

  test('double while nothing is heard, up to two seconds, and are short again with the first answer', () => {
    const sender = new Sender();
    const fresh = timeout(sender);
    const times = sender.sent.filter(({ tsn }) => tsn === 3).map(({ atMs }) => atMs);
    const pauses = times.slice(1).map((atMs, index) => Math.round(atMs - (times[index] ?? 0)));
    expect(pauses.slice(1, 4)).toEqual([600, 1200, 2000]);

    sender.sack(4);

    expect(sender.outbound.nextTickMs).toBe(Number.POSITIVE_INFINITY);
    sender.sent.length = 0;
    expect(timeout(sender)).toBeLessThanOrEqual(fresh);
  });

  test('are counted from when the earliest chunk was sent again', () => {
    const sender = new Sender();
    sender.send(8);
    sender.take();
    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(2, [[4, 10]]);
    const againMs = sender.nowMs;

    sender.wait(2 * TIMEOUT_MS);

    const sinceMs = sender.sent.map(({ tsn, atMs }) => [tsn, atMs - againMs]);
    expect(sinceMs.map(([tsn]) => tsn)).toEqual([3, 3, 3, 3]);
    expect(sinceMs[2]?.[1]).toBeLessThan(TIMEOUT_MS - ROUND_TRIP_MS);
    expect(sinceMs[3]?.[1]).toBe(TIMEOUT_MS);
  });

  test('do not learn from an answer that came after a repetition: its SACK may have been lost long before', () => {
    const sender = new Sender();
    const fresh = timeout(sender);

    // Both had arrived at once; nobody had said so.
    for (let round = 0; round < 20; round++) {
      sender.send(2);
      sender.wait(5_000);
      sender.nowMs += ROUND_TRIP_MS;
      sender.sack(sender.outbound.lastTsn);
    }

    sender.sent.length = 0;
    expect(timeout(sender)).toBeLessThanOrEqual(fresh);
  });

  test('in a row end it after more than twenty seconds', () => {
    const silent = new Sender();
    silent.send(1);
    expect(silent.wait(20_000)).toBe(true);
    expect(silent.wait(20_000)).toBe(false);
  });

  test.each([0, 368])('do not end it while the peer says that it has room for %i bytes only', (windowBytes) => {
    const full = new Sender();
    full.send(3);
    for (let second = 0; second < 300; second++) {
      full.sack(2, [], windowBytes);
      expect(full.wait(1_000)).toBe(true);
    }
    full.sack(5);
    full.take();
    full.send(1);
    expect(full.take()).toEqual([6]);
  });

  test('are no shorter than a path that was slower than the first of them, though nothing could be measured', () => {
    const sent: number[] = [];
    const outbound = new SctpOutbound(1, WINDOW_BYTES, ({ tsn }) => void sent.push(tsn));
    const sack = Buffer.alloc(12);
    sack.writeUInt32BE(WINDOW_BYTES, 4);
    for (let tsn = 1, nowMs = 0; tsn <= 5; tsn++) {
      outbound.enqueue(0, 53, Buffer.alloc(10), true, nowMs);
      const answerMs = nowMs + 800;
      for (; outbound.nextTickMs < answerMs; nowMs = outbound.nextTickMs) outbound.tick(outbound.nextTickMs);
      sack.writeUInt32BE(tsn, 0);
      nowMs = answerMs;
      outbound.acknowledge(sack, nowMs);
    }
    expect(sent).toEqual([1, 1, 2, 3, 4, 5]);
  });

  test('send again what the peer had reported and has dropped', () => {
    const sender = new Sender();
    sender.send(6);
    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(2, [[4, 8]]);
    expect(sender.take()).toEqual([3, 4, 5, 6, 7, 8, 3]);

    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(3);
    sender.wait(2 * TIMEOUT_MS);

    expect(sender.take()[0]).toBe(4);
    for (const tsn of [4, 5, 6, 7, 8]) {
      sender.nowMs += ROUND_TRIP_MS;
      sender.sack(tsn);
    }
    expect([sender.take(), sender.outbound.bufferedBytes()]).toEqual([[5, 6, 7, 8], 0]);
  });
});

test.each([
  ['nothing', 0, 1],
  ['less than a chunk', 368, 1],
  ['one chunk and some', 1_500, 1],
  ['two chunks', 2 * CHUNK_DATA_BYTES, 2],
])(
  'on the way to a peer that has room for %s is no more than that, and one chunk at least',
  (_, windowBytes, chunks) => {
    const sender = new Sender();
    sender.send(1);
    sender.sack(3, [], windowBytes);
    sender.take();

    sender.send(5);
    expect(sender.take()).toHaveLength(chunks);
    sender.nowMs += ROUND_TRIP_MS;
    sender.sack(4, [], windowBytes);
    expect(sender.take()).toHaveLength(1);
  },
);

test('the last chunk of what may be sent asks for a SACK at once', () => {
  const sender = new Sender();
  sender.send(2);
  expect(sender.sent.splice(0).map(({ flags }) => flags & IMMEDIATE)).toEqual([0, IMMEDIATE]);

  sender.send(30);
  expect(sender.sent.map(({ flags }) => flags & IMMEDIATE)).toEqual([...Array<number>(7).fill(0), IMMEDIATE]);
});

test('the window grows by a chunk with each SACK, also when messages end in short chunks', () => {
  const sender = new Sender();
  for (let message = 0; message < 200; message++) {
    sender.outbound.enqueue(0, 53, Buffer.alloc(1.5 * CHUNK_DATA_BYTES), true, sender.nowMs);
  }
  const first = sender.take().length;

  sender.nowMs += ROUND_TRIP_MS;
  for (let tsn = 3; tsn < 3 + first; tsn++) sender.sack(tsn);

  expect(sender.take().length).toBeGreaterThan(1.5 * first);
});
