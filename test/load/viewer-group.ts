/** Many cheap viewers of one address in this process. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import type { Signalling } from '../support/client/signalling.ts';
import { type NativeReceiver, openNativeReceiver } from '../support/native/native-receiver.ts';
import { PLAY_CODECS } from './arguments.ts';
import { explainFailure } from './failure.ts';
import { feedbackSchema } from './feedback.ts';
import { LoadViewer } from './load-viewer.ts';
import { countMedia, type Snapshot } from './snapshot.ts';
import { tolerantSignalling } from './tolerant-signalling.ts';

const MS_PER_S = 1_000;
const US_PER_S = 1e6;
/** DELETEs at a time. */
const LEAVING = 16;
/** What has to be over before the process ends: joins under way, then all DELETEs. */
export const PENDING_GRACE_MS = 3_000;
const LEAVE_DEADLINE_MS = 10_000;
/** A server that is slower than this is not waited for. */
const LEAVES_PER_SECOND = 50;

export const groupOptionsSchema = z.object({
  url: z.url(),
  token: z.string().optional(),
  /** Local IPv4 address. */
  address: z.ipv4(),
  viewers: z.int().positive(),
  joinsPerSecond: z.number().positive(),
  codecs: z.array(z.enum(PLAY_CODECS)),
  /** Protection that is offered; with `both`, every second viewer offers only one. */
  srtp: z.enum(['gcm', 'cm', 'both', 'any']),
  feedback: feedbackSchema,
  /** Count media outside of JavaScript where that can be built. */
  native: z.boolean(),
});
export type GroupOptions = z.infer<typeof groupOptionsSchema>;

const GCM = 'AEAD_AES_128_GCM';
const CM = 'AES_CM_128_HMAC_SHA1_80';
const PROFILES = { gcm: [[GCM]], cm: [[CM]], both: [[GCM], [CM]], any: [[GCM, CM]] } as const;

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
  readonly #joined: { viewer: LoadViewer; startedMs: number }[] = [];
  readonly #joinMs: number[] = [];
  readonly #serverPorts = new Set<number>();
  readonly #failures = new Map<string, number>();
  readonly #pending = new Map<Signalling, Promise<void>>();
  readonly #stop = new AbortController();
  readonly #cpuBefore = process.cpuUsage();
  #receiver: NativeReceiver | null = null;
  #started = 0;
  #failed = 0;

  constructor(options: GroupOptions) {
    this.#options = options;
  }

  join(): Promise<void> {
    return this.add(this.#options.viewers, this.#options.joinsPerSecond);
  }

  /** So many more; resolves when each has connected or failed. */
  async add(count: number, joinsPerSecond: number): Promise<void> {
    const { signal } = this.#stop;
    if (this.#options.native) this.#receiver ??= await openNativeReceiver().catch(() => null);
    const startMs = performance.now();
    const before = this.#started;
    while (this.#started < before + count) {
      const dueMs = startMs + ((this.#started - before) * MS_PER_S) / joinsPerSecond;
      const waitMs = dueMs - performance.now();
      if (waitMs > 0) await delay(waitMs, undefined, { signal }).catch(() => {});
      if (signal.aborted) break;
      this.#start();
    }
    await Promise.all(this.#pending.values());
  }

  /** So many leave, the newest first; their counts leave with them. */
  async remove(count: number): Promise<void> {
    const leaving = this.#joined.splice(Math.max(0, this.#joined.length - count));
    await inParallel(
      leaving.map(
        ({ viewer }) =>
          () =>
            viewer.close(),
      ),
    );
  }

  snapshot(): Promise<Snapshot> {
    const cpu = process.cpuUsage(this.#cpuBefore);
    return Promise.resolve({
      ...countMedia(this.#joined),
      started: this.#started,
      connected: this.#joined.length,
      failed: this.#failed,
      ended: this.#joined.filter(({ viewer }) => viewer.hasEnded).length,
      failures: Object.fromEntries(this.#failures),
      joinMs: [...this.#joinMs],
      serverPorts: [...this.#serverPorts],
      generatorCpuS: (cpu.user + cpu.system) / US_PER_S,
      receiverCpuS: this.#receiver?.totals.cpuS ?? 0,
      native: this.#receiver !== null,
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
    const patienceMs = LEAVE_DEADLINE_MS + (leaves.length * MS_PER_S) / LEAVES_PER_SECOND;
    await Promise.race([inParallel(leaves), delay(patienceMs, undefined, { ref: false })]);
  }

  #start(): void {
    this.#started += 1;
    const signalling = tolerantSignalling(this.#options.url, this.#options.token);
    const opened = this.#open(signalling).finally(() => this.#pending.delete(signalling));
    this.#pending.set(signalling, opened);
  }

  async #open(signalling: Signalling): Promise<void> {
    const { url, address, codecs, srtp, feedback } = this.#options;
    const startedMs = performance.now();
    const choices = PROFILES[srtp];
    const srtpProfiles = choices[this.#started % choices.length] ?? choices[0];
    try {
      const receiver = this.#receiver;
      const viewer = await LoadViewer.open({ signalling, address, codecs, srtpProfiles, feedback, receiver });
      this.#joined.push({ viewer, startedMs });
      this.#serverPorts.add(viewer.session.answer.candidate.port);
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

async function inParallel(tasks: readonly (() => Promise<unknown>)[]): Promise<void> {
  const left = [...tasks];
  const worker = async (): Promise<void> => {
    for (let task = left.pop(); task !== undefined; task = left.pop()) await Promise.allSettled([task()]);
  };
  await Promise.all(Array.from({ length: LEAVING }, worker));
}
