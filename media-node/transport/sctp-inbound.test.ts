import { expect, test } from 'vitest';
import { DATA_FLAG, SctpInbound } from './sctp-inbound.ts';

/** The body of a DATA chunk on stream 1. */
function chunk(tsn: number, data: Buffer): Buffer {
  const head = Buffer.alloc(12);
  head.writeUInt32BE(tsn, 0);
  head.writeUInt16BE(1, 4);
  return Buffer.concat([head, data]);
}

/** `count` chunks of `bytes` each, which are one message; returns the TSN after them. */
function sendMessage(inbound: SctpInbound, first: number, count: number, bytes: number): number {
  for (let i = 0; i < count; i++) {
    const flags = (i === 0 ? DATA_FLAG.first : 0) | (i === count - 1 ? DATA_FLAG.last : 0);
    inbound.receive(flags, chunk(first + i, Buffer.alloc(bytes, i)));
  }
  return first + count;
}

test('a message in more pieces than anybody means well is swallowed, what follows it gets through', () => {
  const lengths: number[] = [];
  const inbound = new SctpInbound(1, 64 * 1024, (_stream, _protocol, data) => lengths.push(data.length));

  let tsn = sendMessage(inbound, 1, 1024, 64);
  tsn = sendMessage(inbound, tsn, 60_000, 1);
  tsn = sendMessage(inbound, tsn, 3, 1000);

  expect(lengths).toEqual([64 * 1024, 3000]);
  expect(inbound.swallowed).toBe(1);
  expect(inbound.heldBytes).toBe(0);
  expect(inbound.cumulativeTsn).toBe(tsn - 1);
});
