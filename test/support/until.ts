/** Waiting for what must happen, with a deadline instead of a guess how long it takes. */
const POLL_MS = 5;
/** Nothing waits this long where all is well; a slow machine with other work may. */
const DEADLINE_MS = 40_000;

/**
 * Resolves as soon as `condition` holds.
 * @param what is said when it does not within `deadlineMs`; a function is asked at that moment
 */
export async function until(
  condition: () => boolean,
  what: string | (() => string),
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!condition()) {
    if (performance.now() > endMs) {
      throw new Error(`not within ${deadlineMs} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
