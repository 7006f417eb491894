import { vi } from 'vitest';

/** Nothing waits this long where all is well; a slow machine with other work may. */
const PATIENCE_MS = 20_000;
/**
 * For peers over a wire that loses: libwebrtc says its INIT again after 1, 2 and 4 s, and each of them may be lost, too. How
 * long it should take is for tests with a clock of their own to say.
 */
export const LOSSY_PATIENCE_MS = 60_000;
/** Of a whole test with such a peer: it waits for several things. */
export const LOSSY_TEST_MS = 3 * LOSSY_PATIENCE_MS;

/** Retries until `assertion` holds; fails with its last error after `patienceMs`. */
export function eventually<T>(assertion: () => T, patienceMs = PATIENCE_MS): Promise<T> {
  return vi.waitFor(assertion, { timeout: patienceMs, interval: 5 });
}
