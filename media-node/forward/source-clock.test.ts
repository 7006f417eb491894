import { describe, expect, it } from 'vitest';
import { PublisherClock } from '../rtcp/sender-clock.ts';
import { SourceClock } from './source-clock.ts';

const NTP_SECONDS = 4_000_000_000;

describe('SourceClock', () => {
  it('goes by arrivals before the first sender report, over a wrap', () => {
    const clock = new SourceClock(90_000, new PublisherClock());
    clock.noteArrival(2 ** 32 - 100, 1000);
    clock.noteArrival(2 ** 32 - 10, 1001);
    expect(clock.rtpAt(1002)).toBe(80);
    expect(clock.timestamp).toBe(2 ** 32 - 10);
    clock.noteArrival(170, 1003);
    expect(clock.timestamp).toBe(170);
  });

  it('goes by sender reports when they fit', () => {
    const clock = new SourceClock(90_000, new PublisherClock());
    clock.noteArrival(9000, 1000);
    clock.noteSenderReport(NTP_SECONDS, 0, 9900, 1000);
    expect(clock.synchronized).toBe(true);
    expect(clock.rtpAt(1010)).toBe(10_800);
  });

  it('does not believe sender reports that contradict all packets', () => {
    const clock = new SourceClock(90_000, new PublisherClock());
    clock.noteArrival(9000, 1000);
    clock.noteSenderReport(NTP_SECONDS, 0, 3_000_000_000, 1000);
    expect(clock.rtpAt(1010)).toBe(9900);
  });
});
