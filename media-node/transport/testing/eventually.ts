import { vi } from 'vitest';

/** Retries until `assertion` holds; fails with its last error after 5 s. */
export function eventually<T>(assertion: () => T): Promise<T> {
  return vi.waitFor(assertion, { timeout: 5_000, interval: 5 });
}
