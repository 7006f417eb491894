import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { ALL_REPAIRS, FEW_REPAIRS, type RepairReport, type Repairs, step } from './repair-machine.ts';
import { RepairShare } from './repair-share.ts';

const REPORT_MS = 1_000;
/** What a viewer that misses much asks for again and again, for each packet of the stream. */
const INSATIABLE = 1.2;

/** Second by second: what a report says, by how much is sent again at most. */
type Line = (share: number) => RepairReport;

/** As much gets through as fits, whatever is sent. */
const fullLine =
  (fits: number): Line =>
  (share) => {
    const repairs = Math.min(INSATIABLE, share);
    return { arrived: Math.min(1, fits / (1 + repairs)), repairs };
  };

/** Each packet gets through or not, whatever else is sent. */
const chance =
  (loss: number): Line =>
  (share) => ({ arrived: 1 - loss, repairs: Math.min(INSATIABLE, share, loss / (1 - loss)) });

/** The phases of so many seconds. */
function phases(line: Line, seconds: number, state: Repairs = ALL_REPAIRS): Repairs['phase'][] {
  return Array.from({ length: seconds }, (_, second) => {
    state = step(state, line(state.phase === 'all' ? 1 : FEW_REPAIRS), second * REPORT_MS);
    return state.phase;
  });
}

function count(all: readonly Repairs['phase'][], phase: Repairs['phase']): number {
  return all.filter((each) => each === phase).length;
}

describe('a full line', () => {
  it('is tried for two reports, and gets few repairs for longer each time that all were too many', () => {
    const seen = phases(fullLine(0.9), 200);
    const runs = seen.map((phase, second) => (seen[second - 1] === phase ? '' : `${second} ${phase}`)).filter(Boolean);
    expect(runs).toEqual([
      '0 all',
      '1 trial',
      '3 few',
      '13 all',
      '14 few',
      '34 all',
      '35 few',
      '75 all',
      '76 few',
      '136 all',
      '137 few',
      '197 all',
      '198 few',
    ]);
  });

  it('has few repairs for most of the time, however full it is', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.05, max: 0.98, noNaN: true }), (fits) => {
        expect(count(phases(fullLine(fits), 300), 'few')).toBeGreaterThan(280);
      }),
    );
  });

  it('that has become free has all repairs within a minute, and for good', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 400 }),
        fc.double({ min: 0, max: 0.37, noNaN: true }),
        (fullSeconds, loss) => {
          let second = 0;
          const line: Line = (share) => (second++ < fullSeconds ? fullLine(0.9) : chance(loss))(share);
          const after = phases(line, fullSeconds + 200).slice(fullSeconds + 60);
          expect(count(after, 'all')).toBe(after.length);
        },
      ),
    );
  });
});

describe('loss by chance', () => {
  it('of up to a third is repaired without a trial', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 0.37, noNaN: true }), (loss) => {
        expect(new Set(phases(chance(loss), 100))).toEqual(new Set(['all']));
      }),
    );
  });

  it('beyond that it is tried now and then, and all repairs come back at once', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.38, max: 0.95, noNaN: true }), (loss) => {
        const seen = phases(chance(loss), 200);
        expect(count(seen, 'few')).toBe(0);
        expect(count(seen, 'trial')).toBeLessThanOrEqual(20);
      }),
    );
  });

  it('is not taken for a full line where a burst of it was short', () => {
    let second = 0;
    const line: Line = (share) => (second++ % 2 === 0 ? fullLine(0.5)(share) : { arrived: 1, repairs: 0 });
    expect(new Set(phases(line, 20))).toEqual(new Set(['all']));
  });
});

it('any reports in any order leave it able to go on', () => {
  const report = fc.record({
    arrived: fc.double({ min: 0, max: 1, noNaN: true }),
    repairs: fc.double({ min: 0, max: 1_000, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(fc.tuple(report, fc.nat(5_000)), { maxLength: 60 }), (course) => {
      let state = ALL_REPAIRS;
      let nowMs = 0;
      for (const [each, passedMs] of course) {
        nowMs += passedMs;
        state = step(state, each, nowMs);
      }
      // A line without loss ends whatever it was.
      for (let second = 1; second <= 70; second++) {
        state = step(state, { arrived: 1, repairs: 0 }, nowMs + second * REPORT_MS);
      }
      expect(state.phase).toBe('all');
    }),
  );
});

describe('the share of a viewer', () => {
  const source = {};

  /** Second by second 100 packets, and `again` of them once more. @returns the shares */
  function shares(share: RepairShare, seconds: number, from = source, hasWayOut = false): number[] {
    let resent = 0;
    let last = 1;
    return Array.from({ length: seconds }, (_, second) => {
      const again = last < 1 ? 10 : 100;
      resent += again;
      const fractionLost = 1 - 90 / (100 + again);
      last = share.note({ sent: 100, fractionLost }, from, resent, hasWayOut, second * REPORT_MS);
      return last;
    });
  }

  it('shrinks on a full line', () => {
    expect(shares(new RepairShare(true), 6)).toEqual([1, 1, FEW_REPAIRS, FEW_REPAIRS, FEW_REPAIRS, FEW_REPAIRS]);
  });

  it('is whole where a smaller layer is the way out', () => {
    expect(new Set(shares(new RepairShare(true), 20, source, true))).toEqual(new Set([1]));
  });

  it('begins afresh with another source', () => {
    const share = new RepairShare(true);
    expect(shares(share, 6).at(-1)).toBe(FEW_REPAIRS);
    expect(shares(share, 1, {})).toEqual([1]);
  });

  it('without RTX the reports count what was sent again: a third lost by chance is no full line', () => {
    const share = new RepairShare(false);
    const seen = Array.from({ length: 20 }, (_, second) =>
      // 150 were sent for 100, and 100 arrived.
      share.note({ sent: 100, fractionLost: 0 }, source, second * 50, false, second * REPORT_MS),
    );
    expect(new Set(seen)).toEqual(new Set([1]));
  });
});
