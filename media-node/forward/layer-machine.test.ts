import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import {
  FIRST_CALM_MS,
  GOOD_LINE,
  type LineReport,
  LONGEST_CALM_MS,
  SETTLE_MS,
  step,
  type ViewerLine,
} from './layer-machine.ts';

const GOOD: LineReport = { fractionLost: 0, queueMs: 0, choices: 3 };
const LOSSY: LineReport = { ...GOOD, fractionLost: 0.3 };
const SLOW: LineReport = { ...GOOD, queueMs: 900 };

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

  it.each([
    ['loss', LOSSY],
    ['a queue', SLOW],
  ])('goes down a step at a time while %s lasts, to the lowest and no further', (_, bad) => {
    const states = downs(course(repeat(bad, 30)));
    expect(states[0]).toBe(0);
    expect(states[1]).toBe(1);
    expect(states.at(-1)).toBe(2);
    expect(states.indexOf(2)).toBeGreaterThanOrEqual(2 + SETTLE_MS / 1000);
  });

  it('takes no notice of a single bad report', () => {
    const states = course([...repeat(GOOD, 5), LOSSY, ...repeat(GOOD, 5), LOSSY, GOOD]);
    expect(new Set(downs(states))).toEqual(new Set([0]));
  });

  it('goes neither up nor down while it is neither good nor bad', () => {
    const low = course(repeat(LOSSY, 30)).at(-1) ?? GOOD_LINE;
    for (const report of [
      { ...GOOD, fractionLost: 0.05 },
      { ...GOOD, queueMs: 200 },
    ]) {
      expect(new Set(downs(course(repeat(report, 60))))).toEqual(new Set([0]));
      expect(new Set(downs(course(repeat(report, 60), low, 30_000)))).toEqual(new Set([2]));
    }
  });

  it('takes a way up back at once', () => {
    const low = course(repeat(LOSSY, 30)).at(-1) ?? GOOD_LINE;
    const up = course(repeat(GOOD, 20), low, 30_000);
    const wentUpAt = up.findIndex(({ down }) => down === 1);
    const upMs = 30_000 + (wentUpAt + 1) * 1000;
    const bad = { ...GOOD, fractionLost: 0.15 };
    expect(downs(course(repeat(LOSSY, 4), up[wentUpAt], upMs))).toEqual([2, 2, 2, 2]);
    // As much as the burst of a keyframe may do: not before that is over.
    expect(downs(course(repeat(bad, 4), up[wentUpAt], upMs))).toEqual([1, 2, 2, 2]);
    expect(downs(course([bad, ...repeat(GOOD, 5)], up[wentUpAt], upMs))).toEqual([1, 1, 1, 1, 1, 1]);
  });

  it('comes back up after a calm time, and waits longer each time that this was wrong', () => {
    let state = course(repeat(LOSSY, 2)).at(-1) ?? GOOD_LINE;
    let nowMs = 2000;
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
      queueMs: fc.integer({ min: 0, max: 2_000 }),
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
          if (!before.wentUp) expect(nowMs - changedMs).toBeGreaterThanOrEqual(SETTLE_MS);
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
