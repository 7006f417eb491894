/**
 * How far below the best layer an automatic viewer stays: pure. It starts at the top, goes down when its reports tell of
 * lasting loss or of too little room, and comes back up after a calm time, which grows each time that coming back was
 * wrong.
 */

/** Loss that retransmission does not hide (draft-ietf-rmcat-gcc-02 §6: above it a sender gives way). */
const BAD_LOSS = 0.1;
/** Loss that means nothing. */
const CALM_LOSS = 0.02;
/** An estimate (REMB) below this part of what is sent, and that does not grow, is too little. */
const ROOM_FACTOR = 0.8;
/** Trouble shorter than this is none. */
const LASTING_MS = 2_000;
/** After a switch reports still tell of what was before it. */
export const SETTLE_MS = 4_000;
/** Calm before the first try upwards. */
export const FIRST_CALM_MS = 8_000;
export const LONGEST_CALM_MS = 240_000;
const CALM_FACTOR = 2;
/** A way up that had to be taken back within this time was wrong. */
const FAILED_UP_MS = 20_000;
/** A way up that held for this long makes the next one quick again. */
const HELD_UP_MS = 60_000;

export interface ViewerLine {
  /** Steps below the best; may be more than there are at present. */
  readonly down: number;
  /** Since when every report was bad; null: the last one was not. */
  readonly badSinceMs: number | null;
  /** Since when every report was good. */
  readonly calmSinceMs: number | null;
  /** How long it must be calm before the next way up. */
  readonly calmMs: number;
  /** When `down` changed last. */
  readonly changedMs: number;
  /** The last change was a way up. */
  readonly wentUp: boolean;
  /** The last estimate; bits per second, null: none. */
  readonly estimateBps: number | null;
}

export interface LineReport {
  /** 0 to 1. */
  fractionLost: number;
  /** What the viewer says it can take; null: it does not say. */
  estimateBps: number | null;
  /** Bitrate of what it gets. */
  sentBps: number;
  /** How many layers there are to choose from. */
  choices: number;
}

export const GOOD_LINE: ViewerLine = {
  down: 0,
  badSinceMs: null,
  calmSinceMs: null,
  calmMs: FIRST_CALM_MS,
  changedMs: Number.NEGATIVE_INFINITY,
  wentUp: false,
  estimateBps: null,
};

/** One report of the viewer came. */
export function step(state: ViewerLine, report: LineReport, nowMs: number): ViewerLine {
  const lowest = Math.max(0, report.choices - 1);
  const known: ViewerLine = { ...state, estimateBps: report.estimateBps };
  if (nowMs - state.changedMs < SETTLE_MS) return { ...known, badSinceMs: null, calmSinceMs: null };
  const held = state.wentUp && nowMs - state.changedMs >= HELD_UP_MS;
  const line = held ? { ...known, wentUp: false, calmMs: FIRST_CALM_MS } : known;
  if (report.fractionLost > BAD_LOSS || isTooLittle(state, report)) return stepBad(line, lowest, nowMs);
  if (report.fractionLost > CALM_LOSS) return { ...line, badSinceMs: null, calmSinceMs: null };
  return stepCalm(line, lowest, nowMs);
}

function isTooLittle(before: ViewerLine, { estimateBps, sentBps }: LineReport): boolean {
  if (estimateBps === null || before.estimateBps === null) return false;
  // An estimate follows what is sent, and lags behind it: one that still grows has not found its limit.
  return estimateBps < sentBps * ROOM_FACTOR && estimateBps <= before.estimateBps;
}

function stepBad(line: ViewerLine, lowest: number, nowMs: number): ViewerLine {
  const badSinceMs = line.badSinceMs ?? nowMs;
  if (nowMs - badSinceMs < LASTING_MS || line.down >= lowest) return { ...line, badSinceMs, calmSinceMs: null };
  const failed = line.wentUp && nowMs - line.changedMs < FAILED_UP_MS;
  return {
    ...line,
    down: line.down + 1,
    badSinceMs: null,
    calmSinceMs: null,
    calmMs: failed ? Math.min(LONGEST_CALM_MS, line.calmMs * CALM_FACTOR) : line.calmMs,
    changedMs: nowMs,
    wentUp: false,
  };
}

function stepCalm(line: ViewerLine, lowest: number, nowMs: number): ViewerLine {
  const calmSinceMs = line.calmSinceMs ?? nowMs;
  if (line.down === 0 || nowMs - calmSinceMs < line.calmMs) return { ...line, badSinceMs: null, calmSinceMs };
  const down = Math.max(0, Math.min(line.down, lowest) - 1);
  return { ...line, down, badSinceMs: null, calmSinceMs: null, changedMs: nowMs, wentUp: true };
}
