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
  medianMs: number;
  p95Ms: number;
  text: string;
}

/** How much later the frames that both have got came to the second one. */
export function hopDelays(near: Viewer, far: Viewer): Delays {
  const arrivals = new Map(near.video.frames.map(({ number, arrivedMs }) => [number, arrivedMs]));
  const delays = far.video.frames.flatMap(({ number, arrivedMs }) => {
    const before = arrivals.get(number);
    return before === undefined ? [] : [arrivedMs - before];
  });
  const [medianMs, p95Ms] = [quantile(delays, 0.5), quantile(delays, 0.95)];
  return { medianMs, p95Ms, text: `median ${medianMs.toFixed(2)} ms, 95 % within ${p95Ms.toFixed(2)} ms` };
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}

/** Looks how long each of some viewers has to do without a packet. */
export class GapWatch implements Disposable {
  readonly #viewers: readonly { viewer: Viewer; lastMs: number; longestMs: number }[];
  readonly #timer: NodeJS.Timeout;

  constructor(viewers: readonly Viewer[]) {
    const nowMs = performance.now();
    this.#viewers = viewers.map((viewer) => ({ viewer, lastMs: nowMs, longestMs: 0 }));
    this.#timer = setInterval(() => this.#look(), GAP_LOOK_MS);
  }

  /** So far, of each viewer, the one that lasts included. */
  longestMs(): number[] {
    this.#look();
    const nowMs = performance.now();
    return this.#viewers.map(({ lastMs, longestMs }) => Math.max(longestMs, nowMs - lastMs));
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }

  #look(): void {
    for (const watched of this.#viewers) {
      const arrivedMs = Math.max(...watched.viewer.tracks.map((track) => track.lastArrivalMs).filter(Number.isFinite));
      if (!(arrivedMs > watched.lastMs)) continue;
      watched.longestMs = Math.max(watched.longestMs, arrivedMs - watched.lastMs);
      watched.lastMs = arrivedMs;
    }
  }
}
