/** Tests of the whole system with real clients, and of the helpers that drive them. */
import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: vitest reads the default export.
export default defineConfig({
  root: new URL('../..', import.meta.url).pathname,
  test: {
    include: ['test/{support,conformance,fleet,records,lobby,e2e,bench,load}/**/*.test.ts'],
    // Encoders and browsers in real time: side by side they would measure each other.
    fileParallelism: false,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
