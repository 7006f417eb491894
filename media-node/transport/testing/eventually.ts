import { vi } from 'vitest';

/** Retries until `assertion` holds; fails with its last error after 20 s. */
export function eventually<T>(assertion: () => T): Promise<T> {
  return vi.waitFor(assertion, { timeout: 20_000, interval: 5 });
}
