import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  FIRST_CALM_MS,
  GOOD_LINE,
  type LineReport,
  LONGEST_CALM_MS,
  SETTLE_MS,
  step,
  type ViewerLine,
} from './layer-machine.ts';

const GOOD: LineReport = { fractionLost: 0, estimateBps: null, sentBps: 2_000_000, choices: 3 };
const LOSSY: LineReport = { ...GOOD, fractionLost: 0.3 };

/** One report a second; the states after each. */
function course(reports: readonly LineReport[], from: ViewerLine = GOOD_LINE, startMs = 0): ViewerLine[] {
  const states: ViewerLine[] = [];
  let state = from;
  for (const [i, report] of reports.entries()) {
    state = step(state, report, startMs + i * 1000);
    states.push(state);
  }
  return states;
}

const repeat = (report: LineReport, times: number): LineReport[] => Array<LineReport>(times).fill(report);
const downs = (states: readonly ViewerLine[]): number[] => states.map(({ down }) => down);

describe('a viewer’s line', () => {
  it('starts at the best and stays there while all is well', () => {
    expect(new Set(downs(course(repeat(GOOD, 100))))).toEqual(new Set([0]));
  });

  it('goes down a step at a time while loss lasts, to the lowest and no further', () => {
    const states = downs(course(repeat(LOSSY, 30)));
    expect(states.slice(0, 2)).toEqual([0, 0]);
    expect(states[2]).toBe(1);
    expect(states.at(-1)).toBe(2);
    expect(states.indexOf(2)).toBeGreaterThanOrEqual(2 + SETTLE_MS / 1000);
  });

  it('takes no notice of a single bad report', () => {
    const states = course([...repeat(GOOD, 5), LOSSY, ...repeat(GOOD, 5), LOSSY, GOOD]);
    expect(new Set(downs(states))).toEqual(new Set([0]));
  });

  it.each([
    ['too little that does not grow', [900_000, 900_000, 900_000, 900_000], 1],
    ['little that still grows', [900_000, 960_000, 1_030_000, 1_110_000], 0],
    ['enough', [1_900_000, 1_900_000, 1_900_000, 1_900_000], 0],
  ])('reads an estimate: %s', (_, estimates, expected) => {
    const states = course(estimates.map((estimateBps) => ({ ...GOOD, estimateBps })));
    expect(states.at(-1)?.down).toBe(expected);
  });

  it('comes back up after a calm time, and waits longer each time that this was wrong', () => {
    let state = course(repeat(LOSSY, 3)).at(-1) ?? GOOD_LINE;
    let nowMs = 3000;
    const waits: number[] = [];
    for (let round = 0; round < 8; round++) {
      const downAt = nowMs;
      for (; state.down > 0; nowMs += 1000) state = step(state, GOOD, nowMs);
      waits.push(nowMs - downAt);
      for (; state.down === 0; nowMs += 1000) state = step(state, LOSSY, nowMs);
    }
    expect(waits[0]).toBeGreaterThanOrEqual(FIRST_CALM_MS);
    for (let i = 1; i < waits.length; i++) expect(waits[i]).toBeGreaterThanOrEqual(waits[i - 1] ?? 0);
    expect(waits[3]).toBeGreaterThan((waits[0] ?? 0) * 3);
    expect(Math.max(...waits)).toBeLessThan(LONGEST_CALM_MS + SETTLE_MS + 3000);
  });

  it('keeps its place when layers stop for a while', () => {
    const states = course([...repeat(LOSSY, 12), ...repeat({ ...LOSSY, choices: 1 }, 3)]);
    expect(states.at(-1)?.down).toBe(2);
  });

  const reports = fc.array(
    fc.record({
      fractionLost: fc.double({ min: 0, max: 1, noNaN: true }),
      estimateBps: fc.option(fc.integer({ min: 0, max: 10_000_000 })),
      sentBps: fc.integer({ min: 0, max: 5_000_000 }),
      choices: fc.integer({ min: 0, max: 4 }),
    }),
    { maxLength: 200 },
  );

  it('whatever is reported: one step at a time, never below the lowest, never in a hurry', () => {
    fc.assert(
      fc.property(reports, fc.integer({ min: 50, max: 5000 }), (course, intervalMs) => {
        let state = GOOD_LINE;
        let changedMs = Number.NEGATIVE_INFINITY;
        let most = 0;
        for (const [i, report] of course.entries()) {
          const before = state;
          const nowMs = i * intervalMs;
          state = step(before, report, nowMs);
          most = Math.max(most, report.choices - 1);
          expect(state.down).toBeGreaterThanOrEqual(0);
          expect(state.down).toBeLessThanOrEqual(most);
          if (state.down > before.down) expect(state.down).toBe(before.down + 1);
          expect(state.calmMs).toBeGreaterThanOrEqual(FIRST_CALM_MS);
          expect(state.calmMs).toBeLessThanOrEqual(LONGEST_CALM_MS);
          if (state.down === before.down) continue;
          expect(nowMs - changedMs).toBeGreaterThanOrEqual(SETTLE_MS);
          changedMs = nowMs;
        }
      }),
    );
  });

  it('whatever was before: calm for long enough brings the best back, lasting loss the lowest', () => {
    fc.assert(
      fc.property(reports, (before) => {
        const state = course(before).at(-1) ?? GOOD_LINE;
        const startMs = before.length * 1000;
        const seconds = (3 * (LONGEST_CALM_MS + SETTLE_MS)) / 1000;
        expect(course(repeat(GOOD, seconds), state, startMs).at(-1)?.down).toBe(0);
        expect(course(repeat(LOSSY, 30), state, startMs).at(-1)?.down).toBeGreaterThanOrEqual(2);
      }),
      { numRuns: 40 },
    );
  });
});
