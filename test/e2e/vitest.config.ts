/** Tests of the whole system with real clients, and of the helpers that drive them. */
import { defineConfig } from 'vitest/config';

const SYSTEM = 'test/{support,conformance,fleet,records,lobby,e2e,bench,load}/**/*.test.ts';
/** They wait more than they compute, and each has a system of its own: two at a time. */
const BESIDE_OTHERS = [
  'test/{conformance,records,bench}/**/*.test.ts',
  'test/lobby/{enter,leave,listen,live,loss,plain,signalling,tracks}.test.ts',
  'test/e2e/{ice-restart,launcher,lobby-client,lobby-pages,odd-requests,third-party}.test.ts',
];
// What a test waits for has deadlines of its own, that say what did not come: these are for what hangs.
const shared = { testTimeout: 180_000, hookTimeout: 180_000, expect: { poll: { timeout: 40_000 } } };

// biome-ignore lint/style/noDefaultExport: vitest reads the default export.
export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  test: {
    projects: [
      {
        test: { ...shared, name: 'together', include: BESIDE_OTHERS, maxWorkers: 2, sequence: { groupOrder: 0 } },
      },
      {
        // Encoders and browsers in real time: side by side they would measure each other.
        test: {
          ...shared,
          name: 'alone',
          include: [SYSTEM],
          exclude: BESIDE_OTHERS,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
