/** What the line of one viewer does to one stream: measured from its reports, without what the source had lost before. */
import type { ViewerReport } from '../rtcp/viewer-report.ts';

/** Two frames of a small layer say little. Browsers report about once a second. */
const WINDOW_MS = 800;
/** A route that became longer is the new normal after some minutes. */
const FLOOR_RISE = 1 / 200;

/** The stream that is sent, and how many of its packets had been lost when it came here. */
interface LossySource {
  readonly holes: number;
}

export class LineMeter {
  /** Of what was sent in the last window, 0 to 1. */
  fractionLost = 0;
  /** Packets of the window, without what the source had lost. */
  sent = 0;
  /** How much longer the round trip is than it can be: what waits in queues on the way. 0 while nobody knows. */
  queueMs = 0;
  #source: LossySource | null = null;
  #sinceMs = 0;
  /** Of the report at the begin of the window. */
  #highest = 0;
  #lost = 0;
  #holes = 0;
  /** Not above 0: packets that the source had lost, whose loss the viewer had not noticed by its last report. */
  #unnoticed = 0;
  #floorMs = Number.POSITIVE_INFINITY;

  /** The viewer has reported on what it gets of `source`. True: a window is over, and what it measured is news. */
  note(source: LossySource, report: ViewerReport, nowMs: number): boolean {
    const { highestSequence, cumulativeLost } = report;
    // The first report after a switch still tells of what was before it.
    if (source !== this.#source || highestSequence < this.#highest) {
      this.#source = source;
      this.#unnoticed = 0;
      this.#begin(source, report, nowMs);
      return false;
    }
    // Nothing has arrived: how much is lost shows when something does.
    if (nowMs - this.#sinceMs < WINDOW_MS || highestSequence === this.#highest) return false;
    const holes = Math.max(0, source.holes - this.#holes);
    const ownLost = cumulativeLost - this.#lost - (source.holes - this.#holes) + this.#unnoticed;
    this.sent = Math.max(1, highestSequence - this.#highest - holes);
    this.fractionLost = Math.max(0, Math.min(1, ownLost / this.sent));
    this.#unnoticed = Math.max(-holes, Math.min(0, ownLost));
    this.#measureQueue(report);
    this.#begin(source, report, nowMs);
    return true;
  }

  #begin({ holes }: LossySource, { highestSequence, cumulativeLost }: ViewerReport, nowMs: number): void {
    this.#sinceMs = nowMs;
    this.#highest = highestSequence;
    this.#lost = cumulativeLost;
    this.#holes = holes;
  }

  #measureQueue({ steadyRoundTripMs }: ViewerReport): void {
    if (steadyRoundTripMs === null) return;
    if (steadyRoundTripMs < this.#floorMs) this.#floorMs = steadyRoundTripMs;
    else this.#floorMs += (steadyRoundTripMs - this.#floorMs) * FLOOR_RISE;
    this.queueMs = steadyRoundTripMs - this.#floorMs;
  }
}
