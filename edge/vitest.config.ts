/**
 * The edge's tests: pure parts in node, everything that needs the runtime (`*.workerd.test.ts`) inside workerd with the
 * real Durable Objects. Run with `vitest run --config edge/vitest.config.ts`.
 */
import { cloudflareTest } from '@cloudflare/vitest-plugin';
import { defineConfig } from 'vitest/config';
import { TEST_BINDINGS } from './test-support/bindings.ts';

const root = new URL('..', import.meta.url).pathname;
// As in test/vitest.config.ts: for slow machines, and it costs nothing but when a test fails.
const shared = { testTimeout: 90_000, hookTimeout: 90_000, expect: { poll: { timeout: 20_000 } } };

// biome-ignore lint/style/noDefaultExport: vitest reads the default export.
export default defineConfig({
  root,
  test: {
    // wrangler.toml names the directory of the web pages, and it has to exist before the runtime starts.
    globalSetup: 'edge/test-support/assets-directory.ts',
    projects: [
      {
        root,
        test: {
          ...shared,
          name: 'edge',
          include: ['edge/**/*.test.ts'],
          exclude: ['edge/**/*.workerd.test.ts', 'edge/ui/**', 'edge/local/**'],
        },
      },
      {
        root,
        plugins: [
          cloudflareTest({
            main: './edge/index.ts',
            wrangler: { configPath: './wrangler.toml' },
            miniflare: { bindings: { ...TEST_BINDINGS } },
          }),
        ],
        test: { ...shared, name: 'workerd', include: ['edge/**/*.workerd.test.ts'] },
      },
    ],
  },
});
