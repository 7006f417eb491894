/** One worker: a whole media node in a process of its own, started anew when it dies, ended politely first. */
import { type ChildProcess, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import { z } from 'zod';
import type { NodeStatus } from '../status/node-status.ts';
import { statusAnswerSchema } from './worker-channel.ts';

const eventSchema = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('ready'),
    node: z.string(),
    addresses: z.array(z.string()),
    engine: z.string(),
    version: z.string(),
  }),
  z.object({ event: z.literal('linked') }),
  z.object({ event: z.literal('draining') }),
]);
export type WorkerReady = Extract<z.infer<typeof eventSchema>, { event: 'ready' }>;

const FIRST_RESTART_MS = 200;
const LONGEST_RESTART_MS = 5_000;
const MOST_DOUBLINGS = 10;
/** A worker that lived this long did not die of what the one before it died of. */
const HEALTHY_MS = 10_000;
/** A worker that is busy for a moment is well; who asks for its health waits for 4 s. */
const STATUS_DEADLINE_MS = 2_500;
const LEFT = 'exit code 0';

/** How long to wait before the next start, after `failures` starts in a row that did not last. */
export function restartDelayMs(failures: number): number {
  return Math.min(LONGEST_RESTART_MS, FIRST_RESTART_MS * 2 ** Math.min(Math.max(0, failures), MOST_DOUBLINGS));
}

export interface WorkerOptions {
  /** The node's name: what its lines begin with. */
  node: string;
  /** Of the node's program. */
  script: string;
  environment: Readonly<Record<string, string | undefined>>;
  /** One line of the worker's logs, or of ours about it. */
  log(line: string): void;
  /** At the first start and at each restart. */
  onReady(ready: WorkerReady): void;
  /** The edge has welcomed it; again after each restart. */
  onLinked(): void;
  /** It was drained and has ended, one way or the other: it stays away until `comeBack`. */
  onLeft(): void;
}

export class WorkerProcess {
  readonly #options: WorkerOptions;
  readonly #firstReady = Promise.withResolvers<WorkerReady>();
  readonly #questions = new Map<number, (status: NodeStatus) => void>();
  #lastQuestion = 0;
  #isReady = false;
  #wasReady = false;
  #child: ChildProcess | null = null;
  #restart: NodeJS.Timeout | null = null;
  #failures = 0;
  #stopping = false;
  /** This life of it has said that it leaves. */
  #draining = false;
  #left = false;

  /** Starts the worker at once. */
  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#firstReady.promise.catch(() => undefined);
    this.#start();
  }

  /** The first ready line. Rejects when the first start fails: that is a wrong setting, not an accident. */
  get ready(): Promise<WorkerReady> {
    return this.#firstReady.promise;
  }

  /** Undefined while none runs. */
  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** What the worker says of itself; null when it does not in time. */
  async status(): Promise<NodeStatus | null> {
    const child = this.#child;
    if (child === null || !child.connected || !this.#isReady) return null;
    const id = ++this.#lastQuestion;
    const { promise, resolve } = Promise.withResolvers<NodeStatus | null>();
    this.#questions.set(id, resolve);
    const timer = setTimeout(() => resolve(null), STATUS_DEADLINE_MS);
    child.send({ ask: 'status', id }, () => undefined);
    const status = await promise;
    clearTimeout(timer);
    this.#questions.delete(id);
    return status;
  }

  /** Starts one anew that has left; false: it has not. */
  comeBack(): boolean {
    if (!this.#left || this.#stopping) return false;
    this.#left = false;
    this.#failures = 0;
    this.#start();
    return true;
  }

  /** Ends it for good: SIGTERM, then SIGKILL after `graceMs`. */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    if (this.#restart !== null) clearTimeout(this.#restart);
    const child = this.#child;
    // Between its end and the last line that it said there is a child that will not exit again.
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
    });
    child.kill('SIGTERM');
    const deadline = setTimeout(() => child.kill('SIGKILL'), graceMs);
    await ended;
    clearTimeout(deadline);
  }

  /** Ends it now, for good. */
  kill(): void {
    this.#stopping = true;
    if (this.#restart !== null) clearTimeout(this.#restart);
    this.#child?.kill('SIGKILL');
  }

  #start(): void {
    const startedAtMs = performance.now();
    const child = fork(this.#options.script, [], {
      env: { ...this.#options.environment },
      // Not the supervisor's own: a debugger's port can be had once.
      execArgv: [],
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
      // A group of its own: Ctrl-C reaches the supervisor only, which ends the workers in order.
      detached: true,
    });
    this.#child = child;
    this.#isReady = false;
    this.#draining = false;
    child.on('error', (error) => this.#options.log(`[node ${this.#options.node}] ${error.message}`));
    child.on('message', (message) => {
      const answer = statusAnswerSchema.safeParse(message).data;
      if (answer !== undefined) this.#questions.get(answer.id)?.(answer.status);
    });
    if (child.stdout !== null) createInterface({ input: child.stdout }).on('line', (line) => this.#read(line));
    if (child.stderr !== null) createInterface({ input: child.stderr }).on('line', (line) => this.#passOn(line));
    // `close` comes after the last line was read; `exit` may not.
    child.once('close', (code, signal) => this.#ended(signal ?? `exit code ${code}`, performance.now() - startedAtMs));
  }

  #read(line: string): void {
    const event = eventSchema.safeParse(parseJson(line)).data;
    if (event === undefined) {
      this.#passOn(line);
    } else if (event.event === 'ready') {
      this.#isReady = true;
      this.#wasReady = true;
      this.#options.onReady(event);
      this.#firstReady.resolve(event);
    } else if (event.event === 'draining') {
      this.#draining = true;
    } else {
      this.#options.onLinked();
    }
  }

  #passOn(line: string): void {
    const prefix = `[node ${this.#options.node}]`;
    this.#options.log(line.startsWith(prefix) ? line : `${prefix} ${line}`);
  }

  #ended(how: string, livedMs: number): void {
    this.#child = null;
    this.#isReady = false;
    if (!this.#wasReady) {
      this.#firstReady.reject(new Error(`the worker ${this.#options.node} did not start (${how})`));
      return;
    }
    if (this.#stopping) return;
    // Also when it died of something else on its way out: whoever drained it does not want it back yet.
    if (how === LEFT || this.#draining) {
      this.#left = true;
      this.#passOn(`has left, as it was asked to (${how}); it stays away`);
      this.#options.onLeft();
      return;
    }
    this.#failures = livedMs >= HEALTHY_MS ? 0 : this.#failures + 1;
    this.#passOn(`ended (${how}); starting it again`);
    this.#restart = setTimeout(() => this.#start(), restartDelayMs(this.#failures - 1));
  }
}

function parseJson(line: string): unknown {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
