/**
 * Runs one media node (or the supervisor of several) as a child process: reads its ready line, passes its logs on, starts
 * it anew when it dies, unless an operator had it drained, and ends it politely first.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { z } from 'zod';

const workerSchema = z.object({ node: z.string(), addresses: z.array(z.string()), pid: z.int() });

const eventSchema = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('ready'),
    node: z.string(),
    /** `host:port` of each announced UDP address. */
    addresses: z.array(z.string()),
    engine: z.string(),
    version: z.string(),
    /** `host:port` of its status port. */
    status: z.string().optional(),
    /** When it is several under a supervisor. */
    workers: z.array(workerSchema).optional(),
  }),
  z.object({ event: z.literal('linked') }),
  z.object({ event: z.literal('draining') }),
  workerSchema.extend({ event: z.literal('worker') }),
]);
export type MediaNodeReady = Extract<z.infer<typeof eventSchema>, { event: 'ready' }>;
export type WorkerReady = z.infer<typeof workerSchema>;

const FIRST_RESTART_MS = 200;
const LONGEST_RESTART_MS = 5_000;
/** A node that lived this long did not die of what the one before it died of. */
const HEALTHY_MS = 10_000;
/** The node closes its sessions on SIGTERM; after this it is killed. */
const STOP_GRACE_MS = 3_000;
/** How a node ends that was drained. */
const LEFT = 'exit code 0';

/** How long to wait before the next start, after `failures` starts in a row that did not last. */
export function restartDelayMs(failures: number): number {
  return Math.min(LONGEST_RESTART_MS, FIRST_RESTART_MS * 2 ** Math.min(failures, 10));
}

export interface MediaNodeProcessOptions {
  /** Arguments of node: the script first. */
  script: readonly string[];
  directory: string;
  environment: Readonly<Record<string, string | undefined>>;
  /** One line of the node's own logs, or of ours about it. */
  onLog: (line: string) => void;
  onProcess: (child: ChildProcess) => void;
  /** The node is ready: at the first start and at each restart. */
  onReady: (ready: MediaNodeReady) => void;
  /** The edge has welcomed the node. */
  onLinked: () => void;
  /** The node is several, and one of them was replaced. */
  onWorker: (worker: WorkerReady) => void;
}

export class MediaNodeProcess {
  readonly #options: MediaNodeProcessOptions;
  readonly #ready = Promise.withResolvers<MediaNodeReady>();
  #wasReady = false;
  #child: ChildProcess | null = null;
  #restart: NodeJS.Timeout | null = null;
  #failures = 0;
  #stopping: Promise<void> | null = null;

  /** Starts the node at once. */
  constructor(options: MediaNodeProcessOptions) {
    this.#options = options;
    // Whoever stops a node that is not ready yet need not wait for it.
    this.#ready.promise.catch(() => undefined);
    this.#spawn();
  }

  /** The first ready line. Rejects when the first start fails: that is a wrong setting, not an accident. */
  get ready(): Promise<MediaNodeReady> {
    return this.#ready.promise;
  }

  /** Undefined while no node runs. */
  get pid(): number | undefined {
    const child = this.#child;
    return child === null || hasEnded(child) ? undefined : child.pid;
  }

  /** Ends the node for good: SIGTERM, then SIGKILL. May be called again. */
  stop(): Promise<void> {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  #spawn(): void {
    const { script, directory, environment, onProcess } = this.#options;
    const startedAt = performance.now();
    const child = spawn(process.execPath, [...script], {
      cwd: directory,
      env: { ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: Ctrl-C reaches the launcher only, which ends the node in order.
      detached: true,
    });
    this.#child = child;
    if (child.pid !== undefined) onProcess(child);
    child.on('error', (error) => this.#options.onLog(`The media node cannot be started: ${error.message}`));
    createInterface({ input: child.stdout }).on('line', (line) => this.#read(line));
    createInterface({ input: child.stderr }).on('line', (line) => this.#options.onLog(line));
    // `close` comes after the last line was read; `exit` may not.
    child.once('close', (code, signal) => this.#ended(code, signal, performance.now() - startedAt));
  }

  #read(line: string): void {
    const event = eventSchema.safeParse(parseJson(line)).data;
    if (event === undefined) {
      this.#options.onLog(line);
    } else if (event.event === 'ready') {
      this.#wasReady = true;
      this.#options.onReady(event);
      this.#ready.resolve(event);
    } else if (event.event === 'worker') {
      this.#options.onWorker(event);
    } else if (event.event === 'linked') {
      this.#options.onLinked();
    }
  }

  #ended(code: number | null, signal: string | null, livedMs: number): void {
    this.#child = null;
    const how = signal === null ? `exit code ${code}` : signal;
    if (!this.#wasReady) {
      this.#ready.reject(new Error(`The media node did not start (${how})`));
      return;
    }
    if (this.#stopping !== null) return;
    if (how === LEFT) {
      this.#options.onLog('The media node has left, as it was asked to; it is back at the next start');
      return;
    }
    this.#failures = livedMs >= HEALTHY_MS ? 0 : this.#failures + 1;
    const delayMs = restartDelayMs(Math.max(0, this.#failures - 1));
    this.#options.onLog(`The media node ended (${how}); starting it again`);
    this.#restart = setTimeout(() => this.#spawn(), delayMs);
  }

  async #stop(): Promise<void> {
    if (this.#restart !== null) clearTimeout(this.#restart);
    const child = this.#child;
    if (child === null || hasEnded(child)) return;
    const ended = new Promise<void>((resolve) => {
      child.once('exit', () => resolve());
    });
    child.kill('SIGTERM');
    const deadline = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS);
    await ended;
    clearTimeout(deadline);
  }
}

function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

function parseJson(line: string): unknown {
  if (!line.startsWith('{')) return null;
  try {
    return JSON.parse(line);
  } catch {
    return null;
  }
}
