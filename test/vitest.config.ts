/** What one process can show: the parts, beside their code, and whole media nodes on real UDP. */
import { availableParallelism } from 'node:os';
import { defineConfig } from 'vitest/config';

const NODES = 'test/node/**/*.test.ts';
// Slow machines have other things to do as well; what hangs hangs for longer than this. It costs nothing but when a test
// fails: what a test waits for has deadlines of its own, that say what did not come.
const shared = { testTimeout: 90_000, hookTimeout: 90_000, expect: { poll: { timeout: 20_000 } } };

// biome-ignore lint/style/noDefaultExport: vitest reads the default export.
export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    projects: [
      {
        test: {
          ...shared,
          name: 'parts',
          include: [
            'test/*.test.ts',
            'shared/**/*.test.ts',
            'media-node/**/*.test.ts',
            'edge/local/**/*.test.ts',
            'edge/ui/**/*.test.ts',
          ],
          // Many wait for something: two at a time also where there are but two cores.
          maxWorkers: Math.max(2, availableParallelism() - 1),
          sequence: { groupOrder: 0 },
        },
      },
      {
        // Media in real time: side by side they would measure each other.
        test: { ...shared, name: 'nodes', include: [NODES], fileParallelism: false, sequence: { groupOrder: 1 } },
      },
    ],
  },
});
