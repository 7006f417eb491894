/** Many cheap viewers of one address in this process. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Signalling } from '../support/client/signalling.ts';
import { play } from '../support/client/viewer.ts';
import { PLAY_CODECS, type PlayCodec } from './arguments.ts';
import { explainFailure } from './failure.ts';
import { countMedia, type JoinedViewer, type Snapshot } from './snapshot.ts';
import { tolerantSignalling } from './tolerant-signalling.ts';

const MS_PER_S = 1_000;
const US_PER_S = 1e6;
const PAYLOAD_TYPES: Readonly<Record<PlayCodec, number>> = { VP8: 96, VP9: 98, H264: 102, AV1: 45 };
/** DELETEs at a time. */
const LEAVING = 16;
/** What has to be over before the process ends: joins under way, then all DELETEs. */
export const PENDING_GRACE_MS = 3_000;
const LEAVE_DEADLINE_MS = 10_000;

export const groupOptionsSchema = z.object({
  url: z.url(),
  token: z.string().optional(),
  /** Local IPv4 address. */
  address: z.ipv4(),
  viewers: z.int().positive(),
  joinsPerSecond: z.number().positive(),
  codecs: z.array(z.enum(PLAY_CODECS)),
  /** Send receiver reports. */
  rtcp: z.boolean(),
});
export type GroupOptions = z.infer<typeof groupOptionsSchema>;

/** Viewers here or in other processes. */
export interface LoadGroup {
  /** Joins all, and resolves when each has connected or failed; sooner when it is of no use to go on. */
  join(): Promise<void>;
  snapshot(): Promise<Snapshot>;
  /** No more joins: `join` resolves when those under way are over. */
  halt(): void;
  /** No more joins; DELETE for every session. */
  close(): Promise<void>;
}

export class ViewerGroup implements LoadGroup {
  readonly #options: GroupOptions;
  readonly #joined: JoinedViewer[] = [];
  readonly #joinMs: number[] = [];
  readonly #failures = new Map<string, number>();
  readonly #pending = new Map<Signalling, Promise<void>>();
  readonly #stop = new AbortController();
  readonly #cpuBefore = process.cpuUsage();
  #started = 0;
  #failed = 0;

  constructor(options: GroupOptions) {
    this.#options = options;
  }

  async join(): Promise<void> {
    const { viewers, joinsPerSecond } = this.#options;
    const { signal } = this.#stop;
    const startMs = performance.now();
    while (this.#started < viewers) {
      const dueMs = startMs + (this.#started * MS_PER_S) / joinsPerSecond;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) break;
      this.#start();
    }
    await Promise.all(this.#pending.values());
  }

  snapshot(): Promise<Snapshot> {
    const cpu = process.cpuUsage(this.#cpuBefore);
    return Promise.resolve({
      ...countMedia(this.#joined),
      started: this.#started,
      connected: this.#joined.length,
      failed: this.#failed,
      ended: this.#joined.filter(({ viewer }) => viewer.session.transport.endReason !== null).length,
      failures: Object.fromEntries(this.#failures),
      joinMs: [...this.#joinMs],
      generatorCpuS: (cpu.user + cpu.system) / US_PER_S,
    });
  }

  halt(): void {
    this.#stop.abort();
  }

  async close(): Promise<void> {
    this.halt();
    await Promise.race([Promise.all(this.#pending.values()), delay(PENDING_GRACE_MS, undefined, { ref: false })]);
    const leaves = [
      ...this.#joined.map(
        ({ viewer }) =>
          () =>
            viewer.close(),
      ),
      ...[...this.#pending.keys()].map((signalling) => () => signalling.close()),
    ];
    const worker = async (): Promise<void> => {
      for (let leave = leaves.pop(); leave !== undefined; leave = leaves.pop()) await Promise.allSettled([leave()]);
    };
    const left = Promise.all(Array.from({ length: LEAVING }, worker));
    await Promise.race([left, delay(LEAVE_DEADLINE_MS, undefined, { ref: false })]);
  }

  #start(): void {
    this.#started += 1;
    const signalling = tolerantSignalling(this.#options.url, this.#options.token);
    const opened = this.#open(signalling).finally(() => this.#pending.delete(signalling));
    this.#pending.set(signalling, opened);
  }

  async #open(signalling: Signalling): Promise<void> {
    const { url, address, codecs, rtcp } = this.#options;
    const startedMs = performance.now();
    try {
      const video = Object.fromEntries(codecs.map((codec) => [codec, PAYLOAD_TYPES[codec]]));
      // No RTX: who asks for nothing gets nothing again, and what comes is what was forwarded.
      const viewer = await play({ signalling, address, video, rtx: false, cheap: true, reports: rtcp });
      this.#joined.push({ viewer, startedMs });
      this.#joinMs.push(performance.now() - startedMs);
    } catch (error) {
      const { message, final } = explainFailure(error, url);
      this.#failed += 1;
      this.#failures.set(message, (this.#failures.get(message) ?? 0) + 1);
      // A thousand more would meet the same.
      if (final && this.#joined.length === 0) this.#stop.abort();
      await Promise.allSettled([signalling.close()]);
    }
  }
}
