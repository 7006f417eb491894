/** Writes down faults that were survived: each kind once with its stack, then how often it came again. */
const MAX_KINDS = 100;

export class FaultLog {
  readonly #log: (message: string) => void;
  readonly #counts = new Map<string, number>();

  constructor(log: (message: string) => void) {
    this.#log = log;
  }

  readonly note = (error: unknown): void => {
    const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
    const count = (this.#counts.get(stack) ?? 0) + 1;
    if (count === 1 && this.#counts.size >= MAX_KINDS) return;
    this.#counts.set(stack, count);
    // 1, 10, 100, …: a fault at every packet must not become a flood of lines.
    if (!Number.isInteger(Math.log10(count))) return;
    this.#log(count === 1 ? `a fault, survived: ${stack}` : `a fault, ${count} times now: ${stack.split('\n', 1)[0]}`);
  };
}
