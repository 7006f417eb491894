/** Waiting for a state of the outside world, with a deadline. */

const POLL_MS = 40;
/** Nothing waits this long where all is well; three browsers on a machine with other work may. */
export const DEADLINE_MS = 60_000;

/** A room of its own for each test. */
export function freshRoom(): string {
  return `e2e-${crypto.randomUUID().slice(0, 8)}`;
}

/**
 * Asks until `probe` gives something that is neither null nor false, and returns it. Throws, naming `what` and the last
 * answer, when that takes longer than `deadlineMs`.
 */
export async function until<T>(
  what: string,
  probe: () => Promise<T | null | false> | T | null | false,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const deadline = performance.now() + deadlineMs;
  for (;;) {
    const answer = await probe();
    if (answer !== null && answer !== false) return answer;
    if (performance.now() > deadline) throw new Error(`${what}: not within ${deadlineMs} ms`);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/** Observes for a fixed time, for what is measured over time; conditions are for `until`. */
export function observe(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs));
}
