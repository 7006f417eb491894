import { describe, expect, it } from 'vitest';
import { RtcpPacketConverter, RtcpTransportLayerFeedback, RunLengthChunk, TransportWideCC } from 'werift';
import { fc } from '../../shared/test-support/properties.ts';
import { encodeChunks, TransportCcRecorder } from './transport-cc.ts';
import { RtcpWriter } from './write.ts';

const NOT_RECEIVED = 0;
const SMALL = 1;
const LARGE = 2;

interface Report {
  feedbackCount: number;
  base: number;
  statuses: number[];
  /** Of received packets: sequence number (16 bits) → arrival in ticks of 250 µs. */
  arrivals: Map<number, number>;
}

/** Reads a feedback packet by werift's parser, and the way libwebrtc's `TransportFeedback::Parse` interprets it. */
function read(bytes: Buffer): Report {
  const [packet] = RtcpPacketConverter.deSerialize(Buffer.from(bytes));
  if (!(packet instanceof RtcpTransportLayerFeedback) || !(packet.feedback instanceof TransportWideCC)) {
    throw new Error('not transport-wide feedback');
  }
  const { feedback } = packet;
  const statuses: number[] = [];
  for (const chunk of feedback.packetChunks) {
    // werift numbers the statuses as the draft does.
    if (chunk instanceof RunLengthChunk) statuses.push(...Array<number>(chunk.runLength).fill(chunk.packetStatus));
    else statuses.push(...chunk.symbolList);
  }
  expect(statuses.length).toBeGreaterThanOrEqual(feedback.packetStatusCount);
  expect(statuses.slice(feedback.packetStatusCount).every((status) => status === NOT_RECEIVED)).toBe(true);
  statuses.length = feedback.packetStatusCount;
  const arrivals = new Map<number, number>();
  let tick = feedback.referenceTime * 256;
  let received = 0;
  for (const [index, status] of statuses.entries()) {
    if (status === NOT_RECEIVED) continue;
    const delta = feedback.recvDeltas[received++];
    expect(delta?.type).toBe(status);
    tick += (delta?.delta ?? Number.NaN) / 250;
    arrivals.set((feedback.baseSequenceNumber + index) & 0xffff, tick);
  }
  expect(feedback.recvDeltas).toHaveLength(received);
  expect(statuses.at(-1)).not.toBe(NOT_RECEIVED);
  return { feedbackCount: feedback.fbPktCount, base: feedback.baseSequenceNumber, statuses, arrivals };
}

/** All that the recorder has to say now. */
function drain(recorder: TransportCcRecorder, nowMs = 0, capacityBytes = 1200): Report[] {
  const writer = new RtcpWriter(capacityBytes);
  const reports: Report[] = [];
  for (;;) {
    writer.reset();
    if (!recorder.build(nowMs, writer, 1, 2)) return reports;
    expect(writer.length % 4).toBe(0);
    reports.push(read(writer.bytes()));
    expect(reports.length).toBeLessThan(100);
  }
}

describe('TransportCcRecorder: bytes', () => {
  it('writes what the draft says, by hand', () => {
    // Arrange: reference time 1 (64 ms); +0, +1 ms; one lost; +3.5 ms
    const recorder = new TransportCcRecorder();
    recorder.record(10, 64);
    recorder.record(11, 65);
    recorder.record(13, 68.5);
    const writer = new RtcpWriter();
    // Act
    recorder.build(100, writer, 0xa, 0xb);
    // Assert
    expect(writer.bytes().toString('hex')).toBe(
      'afcd0006' + // P=1; six words follow
        '0000000a0000000b' +
        '000a0004' + // base 10, four statuses
        '00000100' + // reference time 1, feedback 0
        'b400' + // one-bit vector 1 1 0 1
        '00040e' + // 0, 4 and 14 × 250 µs
        '000003', // three bytes of padding
    );
  });

  it('numbers its reports, and has nothing to say twice', () => {
    const recorder = new TransportCcRecorder();
    const writer = new RtcpWriter();
    expect(recorder.build(0, writer, 1, 2)).toBe(false);
    for (let index = 0; index < 258; index++) {
      recorder.record(index, index);
      const [report, more] = drain(recorder);
      expect(report).toMatchObject({ base: index, feedbackCount: index & 0xff, statuses: [SMALL] });
      expect(more).toBeUndefined();
    }
  });
});

describe('TransportCcRecorder', () => {
  it('reports loss at the start of a report, too', () => {
    // Arrange
    const recorder = new TransportCcRecorder();
    recorder.record(1, 0);
    drain(recorder);
    // Act
    recorder.record(4, 10);
    // Assert
    expect(drain(recorder)).toMatchObject([{ base: 2, statuses: [NOT_RECEIVED, NOT_RECEIVED, SMALL] }]);
  });

  it('reports reordered packets with negative deltas', () => {
    const recorder = new TransportCcRecorder();
    recorder.record(1, 100);
    recorder.record(3, 101);
    recorder.record(2, 102);
    const [report] = drain(recorder);
    expect(report?.statuses).toEqual([SMALL, SMALL, LARGE]);
    expect([...(report?.arrivals ?? [])]).toEqual([
      [1, 400],
      [2, 408],
      [3, 404],
    ]);
  });

  it('reports a packet that comes after it was reported lost, with all that follow', () => {
    // Arrange
    const recorder = new TransportCcRecorder();
    for (const sequence of [1, 3, 4]) recorder.record(sequence, sequence);
    expect(drain(recorder)).toMatchObject([{ statuses: [SMALL, NOT_RECEIVED, SMALL, SMALL] }]);
    // Act
    recorder.record(2, 50);
    // Assert
    expect(recorder.pending).toBe(1);
    const reports = drain(recorder);
    expect(reports).toHaveLength(1);
    expect(reports[0]?.base).toBe(2);
    expect([...(reports[0]?.arrivals ?? [])]).toEqual([
      [2, 200],
      [3, 12],
      [4, 16],
    ]);
    expect(recorder.pending).toBe(0);
  });

  it('knows packets that were overtaken by the very first one', () => {
    const recorder = new TransportCcRecorder();
    recorder.record(0, 1);
    recorder.record(65535, 2);
    expect(drain(recorder)).toMatchObject([{ base: 65535, statuses: [SMALL, LARGE] }]);
  });

  it('ignores duplicates: the first arrival counts', () => {
    const recorder = new TransportCcRecorder();
    recorder.record(7, 1);
    recorder.record(7, 9);
    expect([...(drain(recorder)[0]?.arrivals ?? [])]).toEqual([[7, 4]]);
    recorder.record(7, 20);
    expect(recorder.pending).toBe(0);
  });

  it('starts a new report after a pause that a delta cannot express', () => {
    const recorder = new TransportCcRecorder();
    recorder.record(1, 0);
    recorder.record(2, 8000);
    recorder.record(3, 17_000);
    expect(drain(recorder)).toMatchObject([
      { base: 1, statuses: [SMALL, LARGE] },
      { base: 3, statuses: [SMALL] },
    ]);
  });

  it('starts over at jumps that no report can describe', () => {
    // Arrange
    const recorder = new TransportCcRecorder();
    recorder.record(1, 0);
    // Act, assert: ahead
    recorder.record(20_000, 1);
    expect(drain(recorder)).toMatchObject([{ base: 20_000, statuses: [SMALL] }]);
    // a stray behind is ignored, a sequence is not
    recorder.record(5000, 2);
    recorder.record(20_001, 3);
    expect(drain(recorder)).toMatchObject([{ base: 20_001 }]);
    recorder.record(5001, 4);
    recorder.record(5002, 5);
    expect(drain(recorder)).toMatchObject([{ base: 5002, statuses: [SMALL] }]);
  });

  it('splits what does not fit into one datagram', () => {
    const recorder = new TransportCcRecorder();
    for (let sequence = 0; sequence < 1000; sequence++) recorder.record(sequence, sequence * 70); // large deltas
    const reports = drain(recorder, 0, 600);
    expect(reports.length).toBeGreaterThan(3);
    expect(reports.flatMap((report) => [...report.arrivals.keys()])).toEqual(Array.from({ length: 1000 }, (_, i) => i));
  });

  it('keeps everything when there is no room at all', () => {
    const recorder = new TransportCcRecorder();
    recorder.record(1, 1);
    expect(drain(recorder, 0, 20)).toEqual([]);
    expect(drain(recorder, 0)).toMatchObject([{ base: 1, feedbackCount: 0 }]);
  });

  it('is due every 50 ms, or when many packets wait', () => {
    // Arrange
    const recorder = new TransportCcRecorder();
    const writer = new RtcpWriter();
    expect(recorder.due(1000)).toBe(false);
    recorder.record(0, 1000);
    expect(recorder.due(1000)).toBe(true);
    recorder.build(1000, writer, 1, 2);
    // Act, assert
    recorder.record(1, 1001);
    expect(recorder.due(1049)).toBe(false);
    expect(recorder.due(1050)).toBe(true);
    for (let sequence = 2; sequence <= 400; sequence++) recorder.record(sequence, 1002);
    expect(recorder.due(1003)).toBe(true);
  });

  it('tells every arrival exactly, once, through loss, reordering, pauses, wraps of sequence and time', () => {
    const step = fc.record({
      skip: fc.oneof(
        { weight: 8, arbitrary: fc.constant(1) },
        { weight: 2, arbitrary: fc.integer({ min: -8, max: 30 }) },
        { weight: 1, arbitrary: fc.integer({ min: 0, max: 400 }) },
      ),
      afterMs: fc.oneof(
        { weight: 8, arbitrary: fc.double({ min: 0, max: 5, noNaN: true }) },
        { weight: 1, arbitrary: fc.double({ min: 0, max: 9000, noNaN: true }) },
      ),
      build: fc.integer({ min: 0, max: 9 }).map((value) => value === 0),
    });
    // 2^24 × 64 ms: the reference time wraps after 12.4 days.
    const start = fc.oneof(fc.double({ min: 0, max: 1e6, noNaN: true }), fc.constant(2 ** 24 * 64 - 1000));
    const steps = fc.array(step, { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff }), start, steps, (first, startMs, list) => {
        // Arrange
        const recorder = new TransportCcRecorder();
        const expected = new Map<number, number>();
        const told = new Map<number, number>();
        let sequence = first;
        let nowMs = startMs;
        const collect = () => {
          for (const report of drain(recorder)) {
            for (const [number, tick] of report.arrivals) told.set(number, tick);
          }
        };
        // Act
        for (const { skip, afterMs, build } of list) {
          const number = sequence & 0xffff;
          recorder.record(number, nowMs);
          if (!expected.has(number)) expected.set(number, Math.floor(nowMs * 4));
          if (build) collect();
          sequence += skip;
          nowMs += afterMs;
        }
        collect();
        // Assert
        const wrap = 2 ** 24 * 256;
        for (const [number, tick] of expected) {
          expect(((told.get(number) ?? Number.NaN) - tick) % wrap, `packet ${number}`).toBeCloseTo(0, 9);
        }
        expect(told.size).toBe(expected.size);
        expect(recorder.pending).toBe(0);
      }),
      { numRuns: 300 },
    );
  });
});

describe('encodeChunks', () => {
  const encode = (statuses: number[]) => {
    const chunks = new Uint16Array(100);
    const count = encodeChunks(Uint8Array.from(statuses), statuses.length, chunks);
    return [...chunks.subarray(0, count)].map((chunk) => chunk.toString(16).padStart(4, '0'));
  };
  const times = (count: number, status: number) => Array<number>(count).fill(status);

  it.each<[string, number[], string[]]>([
    // The examples of §3.1.3 and §3.1.4
    ['a run of 221 lost packets', times(221, NOT_RECEIVED), ['00dd']],
    ['a run of 24 packets', times(24, SMALL), ['2018']],
    ['fourteen of one bit', [0, 1, 1, 1, 1, 1, 0, 0, 0, 1, 1, 1, 0, 0], ['9f1c']],
    ['seven of two bits', [0, 2, 1, 1, 1, 0, 0], ['c950']],
    ['a long run, then a mix', [...times(20, SMALL), 0, 1], ['2014', '9000']],
    ['a run before a large delta', [...times(7, SMALL), LARGE], ['2007', '4001']],
    ['a mix with a large delta at its end', [...times(6, SMALL), LARGE], ['d556']],
    ['more than one run can hold', times(8192, SMALL), ['3fff', '2001']],
  ])('packs %s', (_, statuses, expected) => {
    expect(encode(statuses)).toEqual(expected);
  });
});
