import { mkdirSync } from 'node:fs';

/** vitest's global setup: the build of the pages may not have run. */
export function setup(): void {
  mkdirSync(new URL('../../.build/assets', import.meta.url).pathname, { recursive: true });
}
