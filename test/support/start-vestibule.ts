/** The whole system as its user starts it, on free ports and with a state directory of its own. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { z } from 'zod';
import { LineProcess } from './line-process.ts';

/** The first start after a clone compiles the native engine, on a busy machine for more than half a minute. */
const READY_DEADLINE_MS = 120_000;
/** The launcher says that it is ready after some seconds also without a link: people want to know. A test needs the node. */
const LINK_DEADLINE_MS = 60_000;
const RESTART_DEADLINE_MS = 60_000;

const nodeSchema = z.object({
  node: z.string(),
  addresses: z.array(z.string()),
  engine: z.string(),
  pid: z.int().positive(),
  /** `host:port`, with NODE_STATUS_PORT. */
  status: z.string().optional(),
});
const readySchema = z.object({
  url: z.url(),
  pid: z.int().positive(),
  workerdPid: z.int().positive(),
  node: nodeSchema.extend({ linked: z.boolean() }).nullable(),
});

export interface StartOptions {
  /** Settings; they win over the defaults of tests (free ports, loopback only). */
  env?: Readonly<Record<string, string | undefined>>;
  /** `edge` runs the edge without a media node. */
  part?: 'start' | 'edge';
  /** Another checkout than this one, with dependencies of its own. */
  checkout?: string;
  /** Kept by the caller, e.g. to start again on the same state; otherwise one is made and removed. */
  stateDirectory?: string;
}

export class Vestibule implements AsyncDisposable {
  readonly url: string;
  readonly stateDirectory: string;
  readonly #process: LineProcess;
  readonly #removeState: boolean;
  readonly #ready: z.infer<typeof readySchema>;

  private constructor(
    process: LineProcess,
    ready: z.infer<typeof readySchema>,
    state: { directory: string; remove: boolean },
  ) {
    this.url = ready.url;
    this.stateDirectory = state.directory;
    this.#process = process;
    this.#ready = ready;
    this.#removeState = state.remove;
  }

  static async start(options: StartOptions = {}): Promise<Vestibule> {
    const directory = options.stateDirectory ?? (await mkdtemp(join(tmpdir(), 'vestibule-state-')));
    const state = { directory, remove: options.stateDirectory === undefined };
    const process = new LineProcess({
      script: [join(options.checkout ?? '', `edge/local/${options.part ?? 'start'}.ts`)],
      env: {
        HOST: '127.0.0.1',
        PORT: '0',
        MEDIA_PORT: '0',
        MEDIA_ADDRESSES: '127.0.0.1',
        ...options.env,
        VESTIBULE_STATE: directory,
        VESTIBULE_READY: 'json',
        // Under npm the launcher ends with the npm that started it; here it is ours.
        npm_lifecycle_event: undefined,
      },
    });
    try {
      const ready = readySchema.parse(await process.event('ready', READY_DEADLINE_MS));
      // Those that never link are a few tests' subject.
      if (ready.node?.linked === false) await process.event('linked', LINK_DEADLINE_MS).catch(() => undefined);
      return new Vestibule(process, ready, state);
    } catch (error) {
      await process.end('SIGKILL');
      if (state.remove) await rm(directory, { recursive: true, force: true });
      throw error;
    }
  }

  /** Of the launcher. */
  get pid(): number {
    return this.#ready.pid;
  }

  /** Of the workerd that runs now. */
  get workerdPid(): number {
    const replaced = this.#process.events.findLast((event) => event.event === 'workerd');
    return replaced === undefined ? this.#ready.workerdPid : z.number().parse(replaced.workerdPid);
  }

  /** The media node that runs now; throws when there is none. */
  get node(): z.infer<typeof nodeSchema> {
    const replaced = this.#process.events.findLast((event) => event.event === 'node');
    return nodeSchema.parse(replaced === undefined ? this.#ready.node : replaced.node);
  }

  /** What the launcher, the worker and the node logged. */
  get log(): string {
    return this.#process.log;
  }

  /** Null while it runs. */
  get outcome(): string | null {
    return this.#process.outcome;
  }

  /** Kills workerd with SIGKILL and resolves when another one answers. */
  async killWorkerd(deadlineMs = RESTART_DEADLINE_MS): Promise<void> {
    const before = this.#process.events.length;
    process.kill(this.workerdPid, 'SIGKILL');
    await this.#process.event('workerd', deadlineMs, before);
    await this.#answering(deadlineMs);
  }

  /** Kills the media node with SIGKILL and resolves when another one is ready. It may take longer until it is linked. */
  async killNode(deadlineMs = RESTART_DEADLINE_MS): Promise<void> {
    const before = this.#process.events.length;
    process.kill(this.node.pid, 'SIGKILL');
    await this.#process.event('node', deadlineMs, before);
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.signal(signal);
  }

  whenEnded(): Promise<void> {
    return this.#process.whenEnded();
  }

  async stop(): Promise<void> {
    await this.#process.end('SIGTERM');
    if (this.#removeState) await rm(this.stateDirectory, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #answering(deadlineMs: number): Promise<void> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const response = await fetch(`${this.url}/healthz`).catch(() => null);
      await response?.body?.cancel();
      if (response?.ok) return;
      if (performance.now() > deadline) throw new Error(`the edge does not answer:\n${this.log}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

/** Starts the system; throws with its log when it does not come up. Stop it with `.stop()` or `await using`. */
export function startVestibule(options: StartOptions = {}): Promise<Vestibule> {
  return Vestibule.start(options);
}
