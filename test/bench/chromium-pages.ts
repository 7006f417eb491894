/** Chromium with the benchmarks' page script. */
import type { Page } from 'playwright-core';
import { browserScript } from '../support/browser-script.ts';
import { type Chromium, launchChromium } from '../support/chromium.ts';

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
  const content = await browserScript('test/bench/in-page/bench-page.ts');
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
