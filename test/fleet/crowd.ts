/** Pages with a crowd of viewers (`crowd-page.ts`), of the edge's own origin. */
import { join } from 'node:path';
import { build } from 'esbuild';
import type { BrowserContext, Page } from 'playwright-core';
import { PROJECT_ROOT } from '../support/line-process.ts';
import type { CrowdReport } from './crowd-page.ts';

let script: Promise<string> | null = null;

/** A page where nothing happens yet. */
export async function openCrowdPage(context: BrowserContext, url: string): Promise<Page> {
  script ??= bundled();
  const page = await context.newPage();
  // An address without a policy against scripts of others.
  await page.goto(`${url}/healthz`);
  await page.addScriptTag({ content: await script });
  return page;
}

export function reportOf(page: Page): Promise<CrowdReport> {
  return page.evaluate(() => globalThis.crowd.report());
}

async function bundled(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(PROJECT_ROOT, 'test/fleet/crowd-page.ts')],
    absWorkingDir: PROJECT_ROOT,
    bundle: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2024',
    write: false,
    logLevel: 'silent',
  });
  return outputFiles[0]?.text ?? '';
}
