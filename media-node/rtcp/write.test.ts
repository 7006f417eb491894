import { describe, expect, it } from 'vitest';
import {
  GenericNack,
  PictureLossIndication,
  ReceiverEstimatedMaxBitrate,
  RtcpPacketConverter,
  RtcpPayloadSpecificFeedback,
  RtcpRrPacket,
  RtcpSourceDescriptionPacket,
  RtcpSrPacket,
  RtcpTransportLayerFeedback,
} from 'werift';
import { fc } from '../../shared/test-support/properties.ts';
import { emptyReportBlock, type ReportBlock } from './packet-types.ts';
import { parseRtcp } from './parse.ts';
import { VisitorLog } from './visitor-log.ts';
import { RtcpWriter } from './write.ts';

const uint32 = fc.integer({ min: 0, max: 0xffffffff });
const reportBlock: fc.Arbitrary<ReportBlock> = fc.record({
  ssrc: uint32,
  fractionLost: fc.integer({ min: 0, max: 255 }).map((value) => value / 256),
  cumulativeLost: fc.integer({ min: -0x800000, max: 0x7fffff }),
  highestSequence: uint32,
  jitter: uint32,
  lastSr: uint32,
  delaySinceLastSr: uint32,
});

function written(write: (writer: RtcpWriter) => unknown): Buffer {
  const writer = new RtcpWriter();
  write(writer);
  return writer.bytes();
}

function read(bytes: Buffer): string[] {
  const log = new VisitorLog();
  expect(parseRtcp(bytes, bytes.length, log)).toBe(true);
  return log.lines;
}

describe('RtcpWriter: bytes', () => {
  const block: ReportBlock = {
    ssrc: 11,
    fractionLost: 0.25,
    cumulativeLost: -2,
    highestSequence: 0x10203,
    jitter: 120,
    lastSr: 0xdd83d1c6,
    delaySinceLastSr: 98304,
  };

  it.each<[string, (writer: RtcpWriter) => unknown, string]>([
    [
      'a receiver report',
      (w) => w.receiverReport(10, [block]),
      '81c90007 0000000a 0000000b 40fffffe 00010203 00000078 dd83d1c6 00018000',
    ],
    ['an empty receiver report', (w) => w.receiverReport(10, [block], 0), '80c90001 0000000a'],
    [
      'a sender report',
      (w) => w.senderReport(0x12345678, 0xe0000001, 0x80000000, 90000, 100, 10000),
      '80c80006 12345678 e0000001 80000000 00015f90 00000064 00002710',
    ],
    [
      'counters beyond 32 bits',
      (w) => w.senderReport(1, 0, 0, -1, 2 ** 32 + 1, 2 ** 33),
      '80c80006 00000001 00000000 00000000 ffffffff 00000001 00000000',
    ],
    ['a CNAME that leaves room for one zero', (w) => w.sdesCname(1, 'a'), '81ca0002 00000001 01016100'],
    ['a CNAME that needs a word of zeros', (w) => w.sdesCname(1, 'ab'), '81ca0003 00000001 01026162 00000000'],
    [
      'NACK pairs',
      (w) => w.nack(1, 2, [5, 6, 21, 22, 100], 5),
      '81cd0005 00000001 00000002 00058001 00160000 00640000',
    ],
    ['a NACK over the wrap', (w) => w.nack(1, 2, [65535, 0, 1, 15], 4), '81cd0003 00000001 00000002 ffff8003'],
    ['a PLI', (w) => w.pli(1, 2), '81ce0002 00000001 00000002'],
    ['a FIR', (w) => w.fir(1, 2, 257), '84ce0004 00000001 00000000 00000002 01000000'],
    ['a REMB', (w) => w.remb(1, 262144, [2]), '8fce0005 00000001 00000000 52454d42 01060000 00000002'],
    ['a BYE', (w) => w.bye(7), '81cb0001 00000007'],
  ])('writes %s', (_, write, hex) => {
    expect(written(write).toString('hex')).toBe(hex.replaceAll(' ', ''));
  });

  it('appends to a compound packet, and starts over after reset', () => {
    // Arrange
    const writer = new RtcpWriter();
    // Act
    writer.receiverReport(10, []);
    writer.sdesCname(10, 'node');
    writer.pli(10, 11);
    // Assert
    expect(read(writer.bytes())).toEqual(['pli(10, 11)']);
    expect(writer.length).toBe(8 + 16 + 12);
    writer.reset();
    expect(writer.bytes()).toHaveLength(0);
  });

  it('leaves the buffer as it was when a packet does not fit', () => {
    // Arrange
    const writer = new RtcpWriter(20, 16);
    writer.pli(1, 2);
    const before = Buffer.from(writer.bytes());
    // Act
    const fitted = [
      writer.pli(1, 2),
      writer.fir(1, 2, 3),
      writer.remb(1, 1000, [2]),
      writer.sdesCname(1, 'someone'),
      writer.receiverReport(1, [emptyReportBlock()]),
      writer.senderReport(1, 2, 3, 4, 5, 6),
      writer.nack(1, 2, [1], 1),
    ];
    // Assert
    expect(fitted).toEqual([false, false, false, false, false, false, 0]);
    expect(writer.bytes()).toEqual(before);
    expect(writer.bye(9)).toBe(true);
  });

  it('says how many lost packets it could name', () => {
    // Arrange: room for two pairs, three needed
    const writer = new RtcpWriter(20);
    // Act
    const count = writer.nack(1, 2, [10, 11, 100, 200], 4);
    // Assert
    expect(count).toBe(3);
    expect(read(writer.bytes())).toEqual(['nack(1, 2, 10)', 'nack(1, 2, 11)', 'nack(1, 2, 100)']);
  });

  it('refuses more blocks than the count can say, and missing ones', () => {
    const blocks = Array.from({ length: 32 }, () => emptyReportBlock());
    expect(new RtcpWriter().receiverReport(1, blocks)).toBe(false);
    expect(new RtcpWriter().receiverReport(1, blocks, 31)).toBe(true);
    expect(() => new RtcpWriter().receiverReport(1, [], 1)).toThrow(RangeError);
  });
});

describe('RtcpWriter: what parseRtcp reads back', () => {
  it('report blocks', () => {
    fc.assert(
      fc.property(uint32, fc.array(reportBlock, { maxLength: 31 }), (own, blocks) => {
        const bytes = written((writer) => writer.receiverReport(own, blocks));
        expect(read(bytes)).toEqual(
          blocks.map(
            (b) =>
              `reportBlock(${own}, ${b.ssrc}, ${b.fractionLost}, ${b.cumulativeLost}, ${b.highestSequence}, ${b.jitter}, ${b.lastSr}, ${b.delaySinceLastSr})`,
          ),
        );
      }),
    );
  });

  it('lost packets, in order and none twice', () => {
    const lost = fc.tuple(
      fc.integer({ min: 0, max: 0xffff }),
      fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 200 }),
    );
    fc.assert(
      fc.property(uint32, uint32, lost, (own, media, [first, gaps]) => {
        // Arrange: ascending modulo 2^16; a gap of 0 repeats a number
        const sequences = [first];
        for (const gap of gaps) sequences.push(((sequences.at(-1) ?? 0) + gap) & 0xffff);
        // Act
        const lines = read(written((writer) => writer.nack(own, media, sequences, sequences.length)));
        // Assert
        expect(lines).toEqual([...new Set(sequences)].map((sequence) => `nack(${own}, ${media}, ${sequence})`));
      }),
    );
  });

  it('a REMB of at most the given bit rate, less by under 1/2^17', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1e15, noNaN: true }), (bitrateBps) => {
        const [line = ''] = read(written((writer) => writer.remb(1, bitrateBps, [2, 3])));
        const value = Number(/, (.*)\)/.exec(line)?.[1]);
        expect(value).toBeLessThanOrEqual(bitrateBps);
        expect(value).toBeGreaterThanOrEqual(Math.floor(bitrateBps) * (1 - 2 ** -17));
      }),
    );
  });
});

describe('RtcpWriter: what werift reads', () => {
  function single(write: (writer: RtcpWriter) => unknown) {
    const packets = RtcpPacketConverter.deSerialize(Buffer.from(written(write)));
    expect(packets).toHaveLength(1);
    return packets[0];
  }

  it('reports', () => {
    fc.assert(
      fc.property(uint32, uint32, uint32, uint32, reportBlock, (ssrc, high, low, timestamp, block) => {
        // Act
        const report = single((writer) => writer.senderReport(ssrc, high, low, timestamp, 7, 8));
        const receiver = single((writer) => writer.receiverReport(ssrc, [block]));
        // Assert
        expect(report).toBeInstanceOf(RtcpSrPacket);
        expect(report).toMatchObject({
          ssrc,
          senderInfo: {
            ntpTimestamp: (BigInt(high) << 32n) | BigInt(low),
            rtpTimestamp: timestamp,
            packetCount: 7,
            octetCount: 8,
          },
        });
        expect(receiver).toBeInstanceOf(RtcpRrPacket);
        expect(receiver).toMatchObject({
          ssrc,
          reports: [
            {
              ssrc: block.ssrc,
              fractionLost: block.fractionLost * 256,
              packetsLost: block.cumulativeLost & 0xffffff, // werift reads it unsigned
              highestSequence: block.highestSequence,
              jitter: block.jitter,
              lsr: block.lastSr,
              dlsr: block.delaySinceLastSr,
            },
          ],
        });
      }),
    );
  });

  it('CNAMEs of every length', () => {
    for (let length = 1; length <= 255; length++) {
      const cname = 'x'.repeat(length);
      const packet = single((writer) => writer.sdesCname(5, cname));
      expect(packet).toBeInstanceOf(RtcpSourceDescriptionPacket);
      expect(packet).toMatchObject({ chunks: [{ source: 5, items: [{ type: 1, text: cname }] }] });
    }
  });

  it('feedback', () => {
    const nack = single((writer) => writer.nack(1, 2, [10, 12, 27, 40], 4));
    expect(nack).toBeInstanceOf(RtcpTransportLayerFeedback);
    expect(nack).toMatchObject({ feedback: { senderSsrc: 1, mediaSourceSsrc: 2, lost: [10, 12, 27, 40] } });
    const pli = single((writer) => writer.pli(1, 2));
    expect(pli).toMatchObject({ feedback: { senderSsrc: 1, mediaSsrc: 2 } });
    const fir = single((writer) => writer.fir(1, 2, 9));
    expect(fir).toMatchObject({ feedback: { senderSsrc: 1, fir: [{ ssrc: 2, sequenceNumber: 9 }] } });
    const remb = single((writer) => writer.remb(1, 2_500_000, [2, 3]));
    expect(remb).toMatchObject({
      feedback: { senderSsrc: 1, uniqueID: 'REMB', bitrate: 2_500_000n, ssrcFeedbacks: [2, 3] },
    });
  });
});

describe('parseRtcp: what werift writes', () => {
  it('reads its feedback', () => {
    // Arrange
    const payload = (feedback: PictureLossIndication | ReceiverEstimatedMaxBitrate) =>
      new RtcpPayloadSpecificFeedback({ feedback }).serialize();
    const nack = new GenericNack({ senderSsrc: 1, mediaSourceSsrc: 2, lost: [3, 4, 19, 90] });
    const bytes = Buffer.concat([
      new RtcpTransportLayerFeedback({ feedback: nack }).serialize(),
      payload(new PictureLossIndication({ senderSsrc: 1, mediaSsrc: 2 })),
      payload(
        new ReceiverEstimatedMaxBitrate({
          senderSsrc: 1,
          mediaSsrc: 0,
          ssrcNum: 1,
          brExp: 3,
          brMantissa: 1000,
          ssrcFeedbacks: [2],
        }),
      ),
    ]);
    // Act, assert
    expect(read(bytes)).toEqual([
      'nack(1, 2, 3)',
      'nack(1, 2, 4)',
      'nack(1, 2, 19)',
      'nack(1, 2, 90)',
      'pli(1, 2)',
      'remb(1, 8000)',
    ]);
  });
});
