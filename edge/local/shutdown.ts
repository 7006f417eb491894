/** One orderly end for Ctrl-C, SIGTERM, SIGHUP, a crash, and the death of the npm that started us. */

/** npm passes a terminal's Ctrl-C on although we have it already: what comes this soon is the same Ctrl-C. */
const SAME_SIGNAL_MS = 1_000;
const CLOSE_DEADLINE_MS = 8_000;
const PARENT_POLL_MS = 500;
const EXIT_FORCED = 130;

export interface ShutdownOptions {
  /** Ends everything in order. */
  close: () => Promise<void>;
  /** Ends everything now. */
  force: () => void;
  log: (line: string) => void;
}

export class Shutdown {
  readonly #options: ShutdownOptions;
  #begunAt: number | null = null;

  /** From here on signals and uncaught errors of this process end in `close`. */
  constructor(options: ShutdownOptions) {
    this.#options = options;
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => this.#onSignal());
    process.on('uncaughtException', (error) => void this.fail(error));
    process.on('unhandledRejection', (error) => void this.fail(error));
    // The terminal or pipe may be gone before we are.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
    if (process.env.npm_lifecycle_event !== undefined) this.#watchParent();
  }

  get begun(): boolean {
    return this.#begunAt !== null;
  }

  /** Tells the error, ends everything and exits with 1. */
  async fail(error: unknown): Promise<void> {
    if (this.begun) return;
    this.#options.log(describe(error));
    await this.#begin(1);
  }

  #onSignal(): void {
    if (this.#begunAt === null) {
      void this.#begin(0);
    } else if (performance.now() - this.#begunAt > SAME_SIGNAL_MS) {
      this.#options.force();
      process.exit(EXIT_FORCED);
    }
  }

  async #begin(exitCode: number): Promise<void> {
    this.#begunAt = performance.now();
    setTimeout(() => {
      this.#options.force();
      process.exit(EXIT_FORCED);
    }, CLOSE_DEADLINE_MS).unref();
    try {
      await this.#options.close();
    } catch (error) {
      this.#options.log(describe(error));
    }
    process.exit(exitCode);
  }

  /** An npm that is killed with SIGKILL passes no signal on. */
  #watchParent(): void {
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) this.#onSignal();
    }, PARENT_POLL_MS).unref();
  }
}

/** Expected errors (a port, a setting) need no stack; a `TypeError` and its like do. */
function describe(error: unknown): string {
  if (!(error instanceof Error)) return `Error: ${String(error)}`;
  const unexpected = [TypeError, RangeError, ReferenceError, SyntaxError].some((kind) => error instanceof kind);
  return unexpected ? (error.stack ?? error.message) : `Error: ${error.message}`;
}
