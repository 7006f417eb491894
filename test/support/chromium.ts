/** A real Chromium from npm: no package of the system, no display, nothing to download. */
import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { type Browser, type BrowserContext, chromium } from 'playwright-core';
import { z } from 'zod';
import { cached } from './cache.ts';
import { PROJECT_ROOT } from './line-process.ts';

const UNPACK_DEADLINE_MS = 120_000;
/**
 * @sparticuz/chromium unpacks into the temporary directory, and the libraries that a bare machine lacks only when it
 * believes to be on Lambda. Both are environment variables, so this runs in a process of its own.
 */
const UNPACK_SCRIPT = "await (await import('@sparticuz/chromium')).default.executablePath()";

const ARGUMENTS = [
  '--use-fake-ui-for-media-stream',
  '--use-fake-device-for-media-stream',
  // Without it Chromium gathers no candidate on a machine that has loopback only.
  '--allow-loopback-in-peer-connection',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--autoplay-policy=no-user-gesture-required',
];

export interface Chromium extends AsyncDisposable {
  browser: Browser;
  /** Has camera and microphone granted: only then does headless Chromium put real addresses into its candidates. */
  context: BrowserContext;
  close(): Promise<void>;
}

export interface ChromiumOptions {
  /** CSS pixels; 1280×800 when not given. */
  viewport?: { width: number; height: number };
  colorScheme?: 'light' | 'dark';
  /** More command line arguments. */
  args?: readonly string[];
}

export async function launchChromium(options: ChromiumOptions = {}): Promise<Chromium> {
  const directory = await unpacked();
  const browser = await chromium.launch({
    executablePath: join(directory, 'chromium'),
    headless: true,
    args: [...ARGUMENTS, ...(options.args ?? [])],
    env: {
      ...definedEnvironment(),
      LD_LIBRARY_PATH: join(directory, 'al2023/lib'),
      FONTCONFIG_FILE: await fontsFile(directory),
    },
  });
  const context = await browser.newContext({
    permissions: ['camera', 'microphone'],
    viewport: options.viewport ?? { width: 1280, height: 800 },
    colorScheme: options.colorScheme ?? 'light',
  });
  const close = (): Promise<void> => browser.close();
  return { browser, context, close, [Symbol.asyncDispose]: close };
}

/** The directory with Chromium and its libraries: one for each version, because the package does not look at it. */
async function unpacked(): Promise<string> {
  const manifest = await readFile(join(PROJECT_ROOT, 'node_modules/@sparticuz/chromium/package.json'), 'utf8');
  const { version } = z.object({ version: z.string() }).parse(JSON.parse(manifest));
  return cached(`chromium-${version}`, async (draft) => {
    await mkdir(draft, { recursive: true });
    await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', UNPACK_SCRIPT], {
      cwd: PROJECT_ROOT,
      env: { ...process.env, TMPDIR: draft, AWS_LAMBDA_JS_RUNTIME: 'nodejs24.x' },
      timeout: UNPACK_DEADLINE_MS,
    });
  });
}

/**
 * The package's own file names directories of Lambda only. Without a font Chromium dies as soon as a page draws text;
 * written at each launch, because the checkout may have moved.
 */
async function fontsFile(directory: string): Promise<string> {
  const path = join(directory, 'fonts/vestibule.conf');
  const draft = `${path}.${randomUUID()}`;
  const [fonts, cache] = [join(directory, 'fonts'), join(directory, 'fonts-cache')];
  await writeFile(
    draft,
    `<?xml version="1.0"?>\n<fontconfig><dir>${fonts}</dir><cachedir>${cache}</cachedir></fontconfig>\n`,
  );
  await rename(draft, path);
  return path;
}

function definedEnvironment(): Record<string, string> {
  const defined: Record<string, string> = {};
  for (const [name, value] of Object.entries(process.env)) if (value !== undefined) defined[name] = value;
  return defined;
}
