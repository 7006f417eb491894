/**
 * Why a process of ours ends, and that it does: a signal, a supervisor that is gone, an npm that was killed. The first
 * reason starts the orderly end; a second signal, or an end that takes too long, is the end at once.
 */

/** npm passes a terminal's Ctrl-C on although we have it already: what comes this soon is the same Ctrl-C. */
const SAME_INTERRUPT_MS = 1_000;
const PARENT_POLL_MS = 500;
export const EXIT_FORCED = 130;

/**
 * `orphaned`: whoever started us is gone, and nobody waits for what we would do yet; `drained`: the edge asked a node to
 * leave, and nobody is left on it.
 */
export type EndReason = 'signal' | 'orphaned' | 'drained';

export interface ProcessEndOptions {
  /** Ends everything in order; called once. */
  close(reason: EndReason): Promise<void>;
  /** Ends at once what would outlive this process. */
  force(): void;
  log(line: string): void;
  /** An orderly end that is not over by then is forced; null: whoever calls `close` sees to that. */
  deadlineMs: number | null;
}

export class ProcessEnd {
  readonly #options: ProcessEndOptions;
  #begunAtMs: number | null = null;

  constructor(options: ProcessEndOptions) {
    this.#options = options;
    process.on('SIGINT', () => this.#onSignal(true));
    process.on('SIGTERM', () => this.#onSignal(false));
    // Who reads our output may be gone before we are.
    for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);
    if (process.channel !== undefined) {
      process.once('disconnect', () => this.begin('orphaned'));
      // It must not keep a process alive that has nothing else to do.
      process.channel?.unref();
    }
    if (process.env.npm_lifecycle_event !== undefined) this.#watchParent();
  }

  get begun(): boolean {
    return this.#begunAtMs !== null;
  }

  begin(reason: EndReason): void {
    if (this.begun) return;
    this.#begunAtMs = performance.now();
    const { deadlineMs, close, log } = this.#options;
    if (deadlineMs !== null) setTimeout(() => this.#force(), deadlineMs).unref();
    close(reason).then(
      // A handle that somebody forgot must not hold up the end.
      () => process.exit(),
      (error: unknown) => {
        log(error instanceof Error ? (error.stack ?? error.message) : String(error));
        process.exit(1);
      },
    );
  }

  #onSignal(isInterrupt: boolean): void {
    if (this.#begunAtMs === null) this.begin('signal');
    else if (!isInterrupt || performance.now() - this.#begunAtMs > SAME_INTERRUPT_MS) this.#force();
  }

  #force(): void {
    this.#options.force();
    process.exit(EXIT_FORCED);
  }

  /** An npm that is killed with SIGKILL passes no signal on. */
  #watchParent(): void {
    const parent = process.ppid;
    setInterval(() => {
      if (process.ppid !== parent) this.begin('orphaned');
    }, PARENT_POLL_MS).unref();
  }
}
