import { describe, expect, it } from 'vitest';
import { ViewerReport } from './viewer-report.ts';

describe('ViewerReport', () => {
  it('knows nothing before the first report', () => {
    expect(new ViewerReport(90_000)).toMatchObject({ reports: 0, roundTripMs: null, jitterMs: null, fractionLost: 0 });
  });

  it('keeps what the last block says, jitter in milliseconds', () => {
    const viewer = new ViewerReport(90_000);
    viewer.noteReportBlock(0.25, 12, 70_000, 450, 0, 0, 0);
    expect(viewer).toMatchObject({
      reports: 1,
      fractionLost: 0.25,
      cumulativeLost: 12,
      highestSequence: 70_000,
      jitterMs: 5,
      roundTripMs: null,
    });
  });

  it('measures the round trip, as in the example of RFC 3550 §6.4.1', () => {
    // Arrange: A − LSR − DLSR = b710:8000 − b705:2000 − 0005:4000 = 6.125 s
    const viewer = new ViewerReport(90_000);
    viewer.noteSenderReport(0xb7052000, 0);
    // Act
    viewer.noteReportBlock(0, 0, 0, 0, 0xb7052000, 0x00054000, ((0xb7108000 - 0xb7052000) * 1000) / 65_536);
    // Assert
    expect(viewer.roundTripMs).toBe(6125);
  });

  it('finds an earlier report of the last eight, and none that was not sent', () => {
    // Arrange
    const viewer = new ViewerReport(90_000);
    for (let index = 1; index <= 9; index++) viewer.noteSenderReport(index * 65_536, index * 1000);
    // Act, assert: the second was sent at 2000; received 3 s later, held for 2.95 s
    viewer.noteReportBlock(0, 0, 0, 0, 2 * 65_536, 2.95 * 65_536, 5000);
    expect(viewer.roundTripMs).toBeCloseTo(50, 1);
    for (const unknown of [65_536, 123]) viewer.noteReportBlock(0, 0, 0, 0, unknown, 0, 9999);
    expect(viewer.roundTripMs).toBeCloseTo(50, 1);
  });

  it('does not measure from empty slots of its history, nor below zero', () => {
    // Arrange
    const viewer = new ViewerReport(90_000);
    viewer.noteReportBlock(0, 0, 0, 0, 0, 65_536, 5000);
    expect(viewer.roundTripMs).toBeNull();
    // Act
    viewer.noteSenderReport(7, 1000);
    viewer.noteReportBlock(0, 0, 0, 0, 7, 65_536, 1999);
    // Assert
    expect(viewer.roundTripMs).toBe(0);
  });

  it('takes the least of what two sender reports measure for steady', () => {
    // Arrange
    const viewer = new ViewerReport(90_000);
    const SECOND = 65_536;
    for (const second of [1, 2, 3]) viewer.noteSenderReport(second * SECOND, second * 1000);
    const seen: (number | null)[] = [];
    const report = (second: number, roundTripMs: number): void => {
      viewer.noteReportBlock(0, 0, 0, 0, second * SECOND, 0, second * 1000 + roundTripMs);
      seen.push(viewer.steadyRoundTripMs);
    };
    // Act: the second one was late, and so was a report on the third
    report(1, 20);
    report(2, 500);
    report(2, 400);
    report(3, 60);
    report(3, 30);
    report(3, 90);
    // Assert
    expect(seen).toEqual([null, 20, 20, 60, 30, 30]);
  });
});
