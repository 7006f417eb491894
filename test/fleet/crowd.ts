/** Pages with a crowd of viewers (`crowd-page.ts`), of the edge's own origin. */
import type { BrowserContext, Page } from 'playwright-core';
import { browserScript } from '../support/browser-script.ts';
import type { CrowdReport } from './crowd-page.ts';

let script: Promise<string> | null = null;

/** A page where nothing happens yet. */
export async function openCrowdPage(context: BrowserContext, url: string): Promise<Page> {
  script ??= browserScript('test/fleet/crowd-page.ts');
  const page = await context.newPage();
  // An address without a policy against scripts of others.
  await page.goto(`${url}/healthz`);
  await page.addScriptTag({ content: await script });
  return page;
}

export function reportOf(page: Page): Promise<CrowdReport> {
  return page.evaluate(() => globalThis.crowd.report());
}
