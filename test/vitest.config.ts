import { defineConfig } from 'vitest/config';

// biome-ignore lint/style/noDefaultExport: vitest reads the default export.
export default defineConfig({
  root: new URL('..', import.meta.url).pathname,
  test: {
    // Slow machines have other things to do as well; what hangs hangs for longer than this.
    testTimeout: 30_000,
    hookTimeout: 30_000,
    include: [
      'test/*.test.ts',
      'test/node/**/*.test.ts',
      'shared/**/*.test.ts',
      'media-node/**/*.test.ts',
      'edge/local/**/*.test.ts',
      'edge/ui/**/*.test.ts',
    ],
  },
});
