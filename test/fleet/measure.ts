/** What viewers of the same publisher have got, compared. */
import { DEADLINE_MS, until } from '../e2e/support/until.ts';
import type { Viewer } from '../support/client/viewer.ts';

const WINDOW_FRAMES = 15;
/** So much a gap may be measured too long. */
const GAP_LOOK_MS = 20;

/** Waits until more packets have come than now. */
export async function flowsOn(viewer: Viewer, packets = 20, deadlineMs = DEADLINE_MS): Promise<void> {
  const before = viewer.packets;
  await until(`${packets} more packets`, () => viewer.packets >= before + packets, deadlineMs);
}

/** Over the last frames: layers differ by it. 0 until there are some. */
export function packetsPerFrame(viewer: Viewer): number {
  const frames = viewer.video.frames.slice(-WINDOW_FRAMES);
  const [first, last] = [frames.at(0), frames.at(-1)];
  if (first === undefined || last === undefined || last.number === first.number) return 0;
  return (last.sequence - first.sequence) / (last.number - first.number);
}

export interface Delays {
  /** Of the quickest tenth: a machine with much else to do keeps the others waiting. */
  quickMs: number;
  medianMs: number;
  p95Ms: number;
  text: string;
}

/**
 * How much later the frames that both have got came to the second one.
 * @param sinceMs only frames that came to the first one after this count: a viewer who came later begins with old ones
 */
export function hopDelays(near: Viewer, far: Viewer, sinceMs: number): Delays {
  const fresh = near.video.frames.filter(({ arrivedMs }) => arrivedMs >= sinceMs);
  const arrivals = new Map(fresh.map(({ number, arrivedMs }) => [number, arrivedMs]));
  const delays = far.video.frames.flatMap(({ number, arrivedMs }) => {
    const before = arrivals.get(number);
    return before === undefined ? [] : [arrivedMs - before];
  });
  const [quickMs, medianMs, p95Ms] = [quantile(delays, 0.1), quantile(delays, 0.5), quantile(delays, 0.95)];
  return { quickMs, medianMs, p95Ms, text: `median ${medianMs.toFixed(2)} ms, 95 % within ${p95Ms.toFixed(2)} ms` };
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/**
 * Looks how long each of some viewers has to do without a packet. Publisher and viewers live in this very process: while it
 * is busy with something else nothing is sent and nothing is read, which says nothing of what happens on the way. Those
 * times are told apart.
 */
export class GapWatch implements Disposable {
  readonly #viewers: readonly { viewer: Viewer; lastMs: number; longestMs: number; longestOnTheWayMs: number }[];
  readonly #timer: NodeJS.Timeout;
  /** When this process had no time: `untilMs` of one is before that of the next. */
  readonly #stalls: { fromMs: number; untilMs: number }[] = [];
  #lookedMs: number;

  constructor(viewers: readonly Viewer[]) {
    const nowMs = performance.now();
    this.#lookedMs = nowMs;
    this.#viewers = viewers.map((viewer) => ({ viewer, lastMs: nowMs, longestMs: 0, longestOnTheWayMs: 0 }));
    this.#timer = setInterval(() => this.#look(), GAP_LOOK_MS);
  }

  /** So far, of each viewer, the one that lasts included. */
  longestMs(): number[] {
    this.#look();
    const nowMs = performance.now();
    return this.#viewers.map(({ lastMs, longestMs }) => Math.max(longestMs, nowMs - lastMs));
  }

  /** The same without the time in which this process itself had none. */
  longestOnTheWayMs(): number[] {
    this.#look();
    const nowMs = performance.now();
    return this.#viewers.map(({ lastMs, longestOnTheWayMs }) =>
      Math.max(longestOnTheWayMs, this.#onTheWayMs(lastMs, nowMs)),
    );
  }

  /** The longest time in which this process itself had none. */
  get longestStallMs(): number {
    return Math.max(0, ...this.#stalls.map(({ fromMs, untilMs }) => untilMs - fromMs));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    const nowMs = performance.now();
    // On time is when it comes after the interval; whatever is more, was another's.
    const fromMs = this.#lookedMs + GAP_LOOK_MS;
    if (nowMs > fromMs) this.#stalls.push({ fromMs, untilMs: nowMs });
    this.#lookedMs = nowMs;
    for (const watched of this.#viewers) {
      const arrivedMs = Math.max(...watched.viewer.tracks.map((track) => track.lastArrivalMs).filter(Number.isFinite));
      if (!(arrivedMs > watched.lastMs)) continue;
      watched.longestMs = Math.max(watched.longestMs, arrivedMs - watched.lastMs);
      watched.longestOnTheWayMs = Math.max(watched.longestOnTheWayMs, this.#onTheWayMs(watched.lastMs, arrivedMs));
      watched.lastMs = arrivedMs;
    }
  }

  #onTheWayMs(fromMs: number, untilMs: number): number {
    let ms = untilMs - fromMs;
    for (let at = this.#stalls.length - 1; at >= 0; at -= 1) {
      const stall = this.#stalls[at];
      if (stall === undefined || stall.untilMs <= fromMs) break;
      ms -= Math.max(0, Math.min(untilMs, stall.untilMs) - Math.max(fromMs, stall.fromMs));
    }
    return ms;
  }
}
