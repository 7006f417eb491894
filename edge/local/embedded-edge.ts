/**
 * The edge inside this machine: the bundled worker in workerd, run by miniflare. Keeps it running: a workerd that dies is
 * replaced on the same port with the same Durable Object state.
 */
import type { ChildProcess } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { chmodSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { convertV4MiniflareOptions, Log, LogLevel, Miniflare } from 'miniflare';
import { bundleWorker } from './bundle.ts';
import { removeEmptyObjects, sweepEmptyObjects } from './empty-objects.ts';
import { isForOperator } from './runtime-log.ts';
import { DIRECT_ENTRYPOINT, readWranglerConfig, workerOptions } from './wrangler-config.ts';

/** Miniflare's own restart takes some 0.5 s; when it has not come up by then, it is made anew. */
const RESTART_DEADLINE_MS = 5_000;
const DISPOSE_DEADLINE_MS = 3_000;
const RETRY_MS = 500;
/** Objects that hold nothing leave a file each, also for names that somebody has only guessed. */
const SWEEP_INTERVAL_MS = 60_000;
const OWNER_ONLY = 0o700;
/** Miniflare's words for what `#onChildProcess` tells in ours. */
const ANNOUNCED_CRASH = /crashed unexpectedly and is being restarted/;
const LOOPBACK = '127.0.0.1';
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;
/** Told by Node before each `spawn`, with options that may still be changed. */
const SPAWN_CHANNEL = 'tracing:child_process.spawn:start';

export interface EmbeddedEdgeOptions {
  root: string;
  host: string;
  /** 0 picks a free one, which is then kept over restarts. */
  port: number;
  stateDirectory: string;
  /** Of the web pages; as wrangler.toml says when absent. */
  assetsDirectory?: string;
  variables: Readonly<Record<string, string>>;
  /** Warnings and errors of the worker and its runtime, one line or more. */
  onLog: (line: string) => void;
  /** A workerd has been started. */
  onProcess: (child: ChildProcess) => void;
}

export class EmbeddedEdge {
  readonly #options: EmbeddedEdgeOptions;
  readonly #script: string;
  #miniflare: Miniflare | null = null;
  #workerd: ChildProcess | null = null;
  #port: number;
  #url: URL | null = null;
  #closing = false;
  #sweeping: NodeJS.Timeout | undefined;
  #replacing = false;
  /** Counts the workerds that came up. */
  #starts = 0;

  private constructor(options: EmbeddedEdgeOptions, script: string) {
    this.#options = options;
    this.#script = script;
    this.#port = options.port;
  }

  /** Bundles the worker and starts it. Throws when the worker does not build or does not start. */
  static async start(options: EmbeddedEdgeOptions): Promise<EmbeddedEdge> {
    const script = await bundleWorker(options.root, readWranglerConfig(options.root).main);
    const objects = join(options.stateDirectory, 'state', 'do');
    removeEmptyObjects(objects);
    const edge = new EmbeddedEdge(options, script);
    edge.#sweeping = setInterval(() => {
      const waitMs = (ms: number) => delay(ms, undefined, { ref: false });
      sweepEmptyObjects(objects, { now: Date.now(), waitMs }).catch((error: unknown) => {
        options.onLog(`empty objects could not be removed: ${String(error)}`);
      });
    }, SWEEP_INTERVAL_MS).unref();
    subscribe('child_process', edge.#onChildProcess);
    subscribe(SPAWN_CHANNEL, ownGroup);
    try {
      await edge.#launch();
    } catch (error) {
      await edge.close();
      throw error;
    }
    return edge;
  }

  /** Where it listens; a wildcard host appears as a loopback address. */
  get url(): URL {
    if (this.#url === null) throw new Error('The edge has not started');
    return this.#url;
  }

  get workerdPid(): number | undefined {
    return this.#workerd?.pid;
  }

  /** Ends workerd and gives the port back. May be called again. */
  async close(): Promise<void> {
    this.#closing = true;
    clearInterval(this.#sweeping);
    const workerd = this.#workerd;
    await this.#dispose();
    if (workerd !== null && workerd.exitCode === null && workerd.signalCode === null) workerd.kill('SIGKILL');
    unsubscribe('child_process', this.#onChildProcess);
    unsubscribe(SPAWN_CHANNEL, ownGroup);
  }

  async #launch(): Promise<void> {
    const { root, host, stateDirectory, assetsDirectory, variables, onLog } = this.#options;
    const config = readWranglerConfig(root);
    if (assetsDirectory !== undefined) config.assets.directory = assetsDirectory;
    const before = SIGNALS.map((signal) => process.listeners(signal));
    const miniflare = new Miniflare(
      convertV4MiniflareOptions({
        ...workerOptions(root, config, this.#script, { ...variables, EMBEDDED: '1' }),
        // Miniflare's own front is for developers: it shows stack traces, obeys headers of its own, compresses empty
        // bodies, and costs a hop. Clients come in by a socket that leads straight to the worker.
        host: LOOPBACK,
        port: 0,
        unsafeDirectSockets: [{ host, port: this.#port, entrypoint: DIRECT_ENTRYPOINT }],
        cf: false,
        logRequests: false,
        telemetry: { enabled: false },
        resourcePersistencePath: privateDirectory(join(stateDirectory, 'state')),
        log: new EdgeLog((line) => {
          if (!this.#closing && !ANNOUNCED_CRASH.test(line)) onLog(line);
        }),
        handleStructuredLogs: (entry) => {
          if (!this.#closing && isForOperator(entry)) onLog(entry.message);
        },
        unsafeHandleRuntimeRestart: () => {
          this.#starts += 1;
        },
      }),
    );
    this.#miniflare = miniflare;
    // Miniflare ends the whole process on a signal at once; when and how to end is the launcher's decision.
    for (const [index, signal] of SIGNALS.entries()) {
      for (const listener of process.listeners(signal)) {
        if (!before[index]?.includes(listener)) process.off(signal, listener);
      }
    }
    await miniflare.ready;
    this.#url = await miniflare.unsafeGetDirectURL(config.name, DIRECT_ENTRYPOINT);
    this.#port = Number(this.#url.port);
    this.#starts += 1;
  }

  readonly #onChildProcess = (message: unknown): void => {
    const child = (message as { process: ChildProcess }).process;
    child.once('spawn', () => {
      if (!/workerd/.test(child.spawnfile) || this.#closing) return;
      this.#workerd = child;
      this.#options.onProcess(child);
      child.once('exit', (code, signal) => {
        if (this.#closing || this.#starts === 0) return;
        this.#options.onLog(`The edge's runtime ended (${signal ?? `exit code ${code}`}); starting it again`);
        void this.#replace(this.#starts);
      });
    });
  };

  /** Miniflare restarts a dead workerd by itself. This is for when that did not work. */
  async #replace(startsBefore: number): Promise<void> {
    if (this.#replacing) return;
    this.#replacing = true;
    await delay(RESTART_DEADLINE_MS, undefined, { ref: false });
    while (!this.#closing && this.#starts === startsBefore) {
      await this.#dispose();
      try {
        await this.#launch();
      } catch (error) {
        this.#options.onLog(`The edge does not come back: ${error instanceof Error ? error.message : String(error)}`);
        await delay(RETRY_MS);
      }
    }
    this.#replacing = false;
  }

  async #dispose(): Promise<void> {
    const miniflare = this.#miniflare;
    this.#miniflare = null;
    // A failed start rejects here again; it has been told already.
    await Promise.race([
      miniflare?.dispose().catch(() => undefined),
      delay(DISPOSE_DEADLINE_MS, undefined, { ref: false }),
    ]);
  }
}

/**
 * Puts workerd into a process group of its own, which miniflare does not offer. A terminal's Ctrl-C goes to the launcher's
 * whole group: workerd would die of it before the sessions are ended in order, and be taken for crashed.
 */
function ownGroup(message: unknown): void {
  const { options } = message as { options: { file: string; detached?: boolean } };
  if (/workerd/.test(options.file)) options.detached = true;
}

/** What the objects keep is nobody else's to read (keys of live streams are in it), and the runtime asks for no file modes. */
function privateDirectory(path: string): string {
  mkdirSync(path, { recursive: true });
  chmodSync(path, OWNER_ONLY);
  return path;
}

/** Warnings and errors only: miniflare would also announce every (re)start. */
class EdgeLog extends Log {
  readonly #onLine: (line: string) => void;

  constructor(onLine: (line: string) => void) {
    super(LogLevel.WARN);
    this.#onLine = onLine;
  }

  override logWithLevel(level: LogLevel, message: string): void {
    if (level <= LogLevel.WARN) this.#onLine(message);
  }
}
