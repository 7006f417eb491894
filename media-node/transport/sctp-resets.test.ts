/** Stream resets, told parameter by parameter (RFC 6525), with peers that understand them in their own way. */
import { beforeEach, describe, expect, test } from 'vitest';
import { SctpOutbound } from './sctp-outbound.ts';
import { SctpResets } from './sctp-resets.ts';

const FIRST_TSN = 100;
const PEER_TSN = 500;
const WINDOW_BYTES = 100_000;
const RESULT = { nothingToDo: 0, performed: 1, denied: 2, badSequence: 5, inProgress: 6 } as const;
const REQUEST = 13;
const RESPONSE = 16;

let sent: { tsn: number; stream: number; sequence: number }[];
let parameters: { type: number; bytes: Buffer }[];
let reset: number[];
let outbound: SctpOutbound;
let resets: SctpResets;

beforeEach(() => {
  sent = [];
  parameters = [];
  reset = [];
  outbound = new SctpOutbound(FIRST_TSN, WINDOW_BYTES, ({ tsn, streamId, streamSeqNum }) => {
    sent.push({ tsn, stream: streamId, sequence: streamSeqNum });
  });
  resets = new SctpResets(FIRST_TSN, PEER_TSN, outbound, {
    send: (parameter) => void parameters.push(parameter),
    reset: (streams) => void reset.push(...streams),
  });
});

function words(...values: number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) bytes.writeUInt32BE(value, 4 * index);
  return bytes;
}

function parameter(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(4 + value.length, 2);
  return Buffer.concat([head, value]);
}

/** The peer wants its stream 7 reset, after everything up to `lastTsn`. @returns what it is told */
function ask(sequence: number, lastTsn: number, cumulative: number): (number | undefined)[] {
  const value = Buffer.concat([words(sequence, 0, lastTsn), Buffer.from([0, 7])]);
  const before = parameters.length;
  resets.receive(parameter(REQUEST, value), cumulative, 0);
  return parameters.slice(before).map(({ bytes }) => bytes.readUInt32BE(4));
}

function respond(result: number): void {
  const request = parameters.findLast(({ type }) => type === REQUEST);
  resets.receive(parameter(RESPONSE, words(request?.bytes.readUInt32BE(0) ?? 0, result)), PEER_TSN, 0);
}

function acknowledge(cumulative: number): void {
  outbound.acknowledge(words(cumulative, WINDOW_BYTES, 0), 0);
  resets.flush(0);
}

const say = (stream: number): void => outbound.enqueue(stream, 53, Buffer.alloc(10), true, 0);

describe('a request of the peer that comes before what it sent earlier', () => {
  test('is dealt with when that is there and it is repeated', () => {
    expect(ask(PEER_TSN, 510, 509)).toEqual([RESULT.inProgress]);
    expect([ask(PEER_TSN, 510, 509), reset]).toEqual([[RESULT.inProgress], []]);
    expect([ask(PEER_TSN, 510, 510), reset]).toEqual([[RESULT.performed], [7]]);
    expect([ask(PEER_TSN, 510, 510), reset]).toEqual([[RESULT.performed], [7]]);
  });

  test('is dealt with when it is repeated under the next number, as libwebrtc did for years', () => {
    expect(ask(PEER_TSN, 510, 509)).toEqual([RESULT.inProgress]);
    expect([ask(PEER_TSN + 1, 510, 510), reset]).toEqual([[RESULT.performed], [7]]);
    expect(ask(PEER_TSN + 3, 510, 510)).toEqual([RESULT.badSequence]);
  });
});

describe('a request of ours', () => {
  test('does not wait for what other streams have on the way', () => {
    say(1);
    say(3);
    resets.request(1, 0);
    expect(parameters).toEqual([]);

    acknowledge(FIRST_TSN);

    // Our last TSN is another one; some peers that are not there yet say so, and stay at that.
    expect(parameters.map(({ bytes }) => bytes.readUInt32BE(8))).toEqual([FIRST_TSN]);
  });

  test.each([
    ['performed', RESULT.performed, 0],
    ['needless', RESULT.nothingToDo, 0],
    ['denied', RESULT.denied, 1],
  ])('that was %s is followed by what is said on the stream meanwhile', (_, result, sequence) => {
    say(1);
    acknowledge(FIRST_TSN);
    resets.request(1, 0);
    sent.length = 0;

    say(1);
    say(3);
    expect(sent.map(({ stream }) => stream)).toEqual([3]);
    expect([outbound.bufferedBytes(1), outbound.bufferedBytes()]).toEqual([10, 20]);

    respond(result);
    expect(sent.slice(1)).toEqual([{ tsn: FIRST_TSN + 2, stream: 1, sequence }]);
    acknowledge(FIRST_TSN + 2);
    expect(outbound.bufferedBytes()).toBe(0);
  });

  test('for a stream that is used and given up again while it waits is followed by another', () => {
    resets.request(1, 0);
    say(1);
    resets.request(1, 0);
    expect(parameters).toHaveLength(1);

    respond(RESULT.performed);
    expect(sent).toEqual([{ tsn: FIRST_TSN, stream: 1, sequence: 0 }]);
    acknowledge(FIRST_TSN);

    expect(parameters).toHaveLength(2);
    respond(RESULT.performed);
    expect(resets.nextTickMs).toBe(Number.POSITIVE_INFINITY);
  });
});
