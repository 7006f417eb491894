/**
 * Whether all that a viewer misses is sent again, or little of it: pure. Loss by chance is repaired, all of it. But where a line
 * is too narrow for the stream, what is sent again takes the room of what is new, which is then missing in its turn: the traffic
 * doubles, and hardly a picture arrives whole in time. A viewer's reports look the same in both cases, so it is tried out: with
 * few repairs a larger part of what is sent arrives where the line was full, and the same part where it loses by chance.
 */

/** A third lost by chance asks for half of the stream again: whoever asks for more may sit at a full line. */
const SUSPICIOUS_REPAIRS = 0.6;
const SUSPICIOUS_LOSS = 0.25;
/** In a row. */
const SUSPICIOUS_REPORTS = 2;
/** The first report of a trial still tells of what was before. */
const TRIAL_REPORTS = 2;
/** Of what a full line would gain by it. Repairs and frames come at different times, and do not lose alike. */
const CONVINCING_GAIN = 1 / 2;
/** A line that loses so much by chance is left alone for so long. */
const CHANCE_MS = 20_000;
/** How long there are few repairs before all are tried again, at first and at most. */
const FIRST_WAIT_MS = 10_000;
const LONGEST_WAIT_MS = 60_000;
const WAIT_FACTOR = 2;
/** All repairs for so long without trouble: the next time begins afresh. */
const HELD_MS = 30_000;

/** The share that is left of a `RetransmissionBudget`. */
export const FEW_REPAIRS = 1 / 8;

export interface RepairReport {
  /** Of all packets that were sent, those again included: 0 to 1. */
  readonly arrived: number;
  /** Packets that were sent again, for each packet of the stream. */
  readonly repairs: number;
}

export interface Repairs {
  /** `trial`: few, to see what it changes. */
  readonly phase: 'all' | 'trial' | 'few';
  /** Of the suspicious ones before the trial, the mean. */
  readonly before: RepairReport;
  /** Of `all`: suspicious ones in a row. Of `trial`: those since its begin. */
  readonly reports: number;
  /** Of `all`: no trial before. Of `few`: its end. */
  readonly untilMs: number;
  /** Of the last phase with few. */
  readonly waitMs: number;
  /** The last phase with few ended then. */
  readonly returnedMs: number;
}

export const ALL_REPAIRS: Repairs = {
  phase: 'all',
  before: { arrived: 1, repairs: 0 },
  reports: 0,
  untilMs: Number.NEGATIVE_INFINITY,
  waitMs: 0,
  returnedMs: Number.NEGATIVE_INFINITY,
};

/** The viewer has reported on a second or so. */
export function step(state: Repairs, report: RepairReport, nowMs: number): Repairs {
  switch (state.phase) {
    case 'all':
      return stepAll(state, report, nowMs);
    case 'trial':
      return stepTrial(state, report, nowMs);
    case 'few':
      return nowMs < state.untilMs ? state : { ...state, phase: 'all', returnedMs: nowMs };
  }
}

function stepAll(state: Repairs, report: RepairReport, nowMs: number): Repairs {
  const isSuspicious = 1 - report.arrived > SUSPICIOUS_LOSS && report.repairs > SUSPICIOUS_REPAIRS;
  if (!isSuspicious || nowMs < state.untilMs) return state.reports === 0 ? state : { ...state, reports: 0 };
  const isStillFull = nowMs - state.returnedMs < HELD_MS;
  if (isStillFull) return few(state, Math.min(LONGEST_WAIT_MS, state.waitMs * WAIT_FACTOR), nowMs);
  const reports = state.reports + 1;
  const before = reports === 1 ? report : mean(state.before, report, reports);
  return {
    ...state,
    phase: reports < SUSPICIOUS_REPORTS ? 'all' : 'trial',
    reports: reports % SUSPICIOUS_REPORTS,
    before,
  };
}

function stepTrial(state: Repairs, report: RepairReport, nowMs: number): Repairs {
  const reports = state.reports + 1;
  if (reports < TRIAL_REPORTS) return { ...state, reports };
  const { before } = state;
  // A full line carries as much as before: of less that is sent, a larger part.
  const expected = (1 + before.repairs) / (1 + report.repairs);
  const gain = report.arrived / Math.max(before.arrived, Number.EPSILON);
  if (gain > 1 + (expected - 1) * CONVINCING_GAIN) return few(state, FIRST_WAIT_MS, nowMs);
  return { ...state, phase: 'all', reports: 0, untilMs: nowMs + CHANCE_MS };
}

/** Of `count` reports, of which `last` is the last, and `others` the mean of those before. */
function mean(others: RepairReport, last: RepairReport, count: number): RepairReport {
  return {
    arrived: others.arrived + (last.arrived - others.arrived) / count,
    repairs: others.repairs + (last.repairs - others.repairs) / count,
  };
}

function few(state: Repairs, waitMs: number, nowMs: number): Repairs {
  return { ...state, phase: 'few', reports: 0, untilMs: nowMs + waitMs, waitMs };
}
