/**
 * How far below the best layer an automatic viewer stays: pure. It starts at the top, goes down when its line loses or
 * delays too much for a while, and comes back up after a calm time, which grows each time that coming back was wrong.
 * Estimates of viewers (REMB) are neither asked for nor read: those of Chromium are a quarter of what arrives without loss or
 * delay when a machine is busy, stay below it for half a minute after a way up, and never rise far enough to tell of room.
 */

/** Loss that retransmission does not hide (draft-ietf-rmcat-gcc-02 §6: above it a sender gives way). */
const BAD_LOSS = 0.1;
/** Loss that no burst of a keyframe explains: a way up is taken back without waiting for more. */
const HOPELESS_LOSS = 0.25;
/** Loss that means nothing. */
const CALM_LOSS = 0.02;
/** A queue on the way that means nothing. */
const CALM_QUEUE_MS = 100;
/** A queue of a line that holds everything back and loses nothing. */
const BAD_QUEUE_MS = 400;
/** Between the first bad report and the last: two in a row, each of a second or so. */
const LASTING_MS = 700;
/** After a switch reports still tell of what was before it, and of the burst of its keyframe. */
export const SETTLE_MS = 2_000;
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
}

export interface LineReport {
  /** By the viewer's own line; 0 to 1. */
  fractionLost: number;
  /** How much longer than necessary packets are on their way. */
  queueMs: number;
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
};

/** The viewer has reported on a second or so. */
export function step(state: ViewerLine, report: LineReport, nowMs: number): ViewerLine {
  const lowest = Math.max(0, report.choices - 1);
  const isHopeless = state.wentUp && report.fractionLost > HOPELESS_LOSS;
  const settles = nowMs - state.changedMs < SETTLE_MS;
  if (settles && !isHopeless) return { ...state, badSinceMs: null, calmSinceMs: null };
  const held = state.wentUp && nowMs - state.changedMs >= HELD_UP_MS;
  const line = held ? { ...state, wentUp: false, calmMs: FIRST_CALM_MS } : state;
  const { fractionLost, queueMs } = report;
  if (fractionLost > BAD_LOSS || queueMs > BAD_QUEUE_MS) return stepBad(line, lowest, nowMs);
  if (fractionLost > CALM_LOSS || queueMs > CALM_QUEUE_MS) return { ...line, badSinceMs: null, calmSinceMs: null };
  return stepCalm(line, lowest, nowMs);
}

function stepBad(line: ViewerLine, lowest: number, nowMs: number): ViewerLine {
  const badSinceMs = line.badSinceMs ?? nowMs;
  const failed = line.wentUp && nowMs - line.changedMs < FAILED_UP_MS;
  // Whoever tried more than the line bears goes back at once: the picture stands still meanwhile.
  const lasts = failed || nowMs - badSinceMs >= LASTING_MS;
  if (!lasts || line.down >= lowest) return { ...line, badSinceMs, calmSinceMs: null };
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
