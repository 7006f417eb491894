import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { emptyReportBlock, type ReportBlock } from './packet-types.ts';
import { ReceptionStats } from './reception-stats.ts';

const CLOCK_RATE = 90_000;
const TICKS_PER_MS = 90;

/** Receives the packets 10 ms apart, as they were sent. */
function receive(stats: ReceptionStats, sequences: number[], startMs = 0): void {
  for (const [index, sequence] of sequences.entries()) {
    const nowMs = startMs + index * 10;
    stats.received(sequence, nowMs * TICKS_PER_MS, nowMs);
  }
}

function report(stats: ReceptionStats, nowMs: number): ReportBlock {
  const block = emptyReportBlock(5);
  stats.report(nowMs, block);
  return block;
}

describe('ReceptionStats: loss (RFC 3550 A.3)', () => {
  it.each<[string, number[], Partial<ReportBlock>]>([
    ['nothing before the first packet', [], { fractionLost: 0, cumulativeLost: 0, highestSequence: 0 }],
    ['nothing when all came', [10, 11, 12, 13], { fractionLost: 0, cumulativeLost: 0, highestSequence: 13 }],
    ['one of four', [10, 11, 13], { fractionLost: 64 / 256, cumulativeLost: 1, highestSequence: 13 }],
    // 2 of 7: floor(512 / 7) = 73
    ['two of seven', [1, 2, 4, 6, 7], { fractionLost: 73 / 256, cumulativeLost: 2, highestSequence: 7 }],
    ['no loss for a packet that was only late', [10, 12, 11, 13], { fractionLost: 0, cumulativeLost: 0 }],
    ['duplicates as negative loss', [10, 10, 10, 11], { fractionLost: 0, cumulativeLost: -2 }],
    ['cycles in the upper bits', [65535, 65536, 65537], { highestSequence: 0x10001, cumulativeLost: 0 }],
  ])('reports %s', (_, sequences, expected) => {
    const stats = new ReceptionStats(CLOCK_RATE);
    receive(stats, sequences);
    expect(report(stats, 1000)).toMatchObject(expected);
  });

  it('covers only the time since the last report with the fraction', () => {
    // Arrange
    const stats = new ReceptionStats(CLOCK_RATE);
    receive(stats, [0, 2]);
    expect(report(stats, 100)).toMatchObject({ fractionLost: 85 / 256, cumulativeLost: 1 });
    // Act, assert: nothing new
    expect(report(stats, 200)).toMatchObject({ fractionLost: 0, cumulativeLost: 1 });
    // Act, assert: the lost one comes late, and another is lost
    receive(stats, [1, 3, 5], 300);
    expect(report(stats, 400)).toMatchObject({ fractionLost: 0, cumulativeLost: 1 });
    expect(stats).toMatchObject({ packets: 5, lost: 1 });
  });

  it('clamps the cumulative loss to 24 bits', () => {
    // Arrange: 2999 of 3000 are lost again and again
    const stats = new ReceptionStats(CLOCK_RATE);
    for (let sequence = 0; sequence < 3000 * 3000; sequence += 3000) stats.received(sequence, 0, 0);
    // Act, assert
    expect(report(stats, 1)).toMatchObject({ cumulativeLost: 0x7fffff, fractionLost: 255 / 256 });
    expect(stats.lost).toBe(2999 * 2999);
  });

  it('takes two packets in sequence after a jump for a restart, one for a stray', () => {
    // Arrange
    const stats = new ReceptionStats(CLOCK_RATE);
    receive(stats, [100_000, 100_001, 100_002]);
    // Act: a stray
    receive(stats, [50_000, 100_003], 30);
    expect(report(stats, 50)).toMatchObject({ cumulativeLost: 0, highestSequence: 100_003 });
    // Act: a restart
    receive(stats, [50_000, 50_001, 50_003], 60);
    // Assert: the packet that announced the restart is not counted (as in A.1)
    expect(report(stats, 100)).toMatchObject({ cumulativeLost: 1, highestSequence: 50_003, fractionLost: 85 / 256 });
    expect(stats).toMatchObject({ packets: 6, lost: 1 });
  });

  it('agrees with counting, for any loss', () => {
    fc.assert(
      fc.property(fc.nat(2 ** 40), fc.array(fc.integer({ min: 1, max: 50 }), { maxLength: 200 }), (first, steps) => {
        // Arrange
        const stats = new ReceptionStats(48_000);
        let sequence = first;
        stats.received(sequence, 0, 0);
        // Act
        for (const step of steps) {
          sequence += step;
          stats.received(sequence, 0, 0);
        }
        // Assert
        const expected = sequence - first + 1;
        const lost = expected - steps.length - 1;
        expect(report(stats, 0)).toMatchObject({
          cumulativeLost: lost,
          fractionLost: Math.floor((lost * 256) / expected) / 256,
          highestSequence: sequence % 2 ** 32,
        });
      }),
    );
  });
});

describe('ReceptionStats: jitter (RFC 3550 A.8)', () => {
  it('is zero for an even stream, whatever the delay', () => {
    const stats = new ReceptionStats(CLOCK_RATE);
    for (let index = 0; index < 100; index++) stats.received(index, index * 900, 5000 + index * 10);
    expect(stats.jitterMs).toBe(0);
  });

  it('follows J += (|D| - J) / 16', () => {
    // Arrange: the second packet is 16 ms late (1440 units), the third on time again
    const stats = new ReceptionStats(CLOCK_RATE);
    stats.received(0, 0, 0);
    stats.received(1, 900, 26);
    expect(report(stats, 26).jitter).toBe(90);
    // Act
    stats.received(2, 1800, 20);
    // Assert: 90 + (1440 - 90) / 16 = 174.375
    expect(report(stats, 20).jitter).toBe(174);
    expect(stats.jitterMs).toBeCloseTo(174.375 / 90, 9);
  });

  it('is not moved by late packets, the wrap of timestamps, or a jump of them', () => {
    const stats = new ReceptionStats(CLOCK_RATE);
    stats.received(0, 2 ** 32 - 900, 0);
    stats.received(1, 0, 10); // wrapped
    stats.received(3, 1800, 30);
    stats.received(2, 900, 500); // retransmitted
    stats.received(4, 2 ** 31, 40); // a source that started anew
    stats.received(5, 2 ** 31 + 900, 50);
    expect(stats.jitterMs).toBe(0);
  });
});

describe('ReceptionStats: round trip', () => {
  it('says nothing before the first sender report', () => {
    const stats = new ReceptionStats(CLOCK_RATE);
    receive(stats, [1, 2]);
    expect(report(stats, 100)).toMatchObject({ ssrc: 5, lastSr: 0, delaySinceLastSr: 0 });
  });

  it('gives the middle of the last report and the time since, as in the example of RFC 3550 §6.4.1', () => {
    // Arrange: LSR b705:2000, DLSR 0x00054000 = 5.250 s
    const stats = new ReceptionStats(CLOCK_RATE);
    receive(stats, [1]);
    stats.noteSenderReport(0xb7052000, 1000);
    // Act, assert
    expect(report(stats, 6250)).toMatchObject({ lastSr: 0xb7052000, delaySinceLastSr: 0x00054000 });
  });

  it('clamps the delay to 32 bits', () => {
    const stats = new ReceptionStats(CLOCK_RATE);
    stats.noteSenderReport(1, 0);
    expect(report(stats, 1e9).delaySinceLastSr).toBe(0xffffffff);
  });
});
