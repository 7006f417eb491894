/** Chromium with the benchmarks' page script. */
import { join } from 'node:path';
import { build } from 'esbuild';
import type { Page } from 'playwright-core';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { PROJECT_ROOT } from '../support/line-process.ts';

/** Pages that are not in front run at full speed, as they would in windows of their own. */
const ARGUMENTS = [
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
];

export interface BenchChromium extends AsyncDisposable {
  /** A page of the server's origin with `globalThis.bench`. */
  open(serverUrl: string): Promise<Page>;
}

export async function launchBenchChromium(): Promise<BenchChromium> {
  const bundle = await build({
    entryPoints: [join(PROJECT_ROOT, 'test/bench/in-page/bench-page.ts')],
    absWorkingDir: PROJECT_ROOT,
    bundle: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2024',
    write: false,
    logLevel: 'silent',
  });
  const content = bundle.outputFiles[0]?.text ?? '';
  const chromium: Chromium = await launchChromium({ args: ARGUMENTS });
  return {
    async open(serverUrl) {
      const page = await chromium.context.newPage();
      await page.goto(`${serverUrl}/healthz`);
      await page.addScriptTag({ content });
      return page;
    },
    [Symbol.asyncDispose]: () => chromium.close(),
  };
}
