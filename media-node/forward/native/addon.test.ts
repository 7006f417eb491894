import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openFanoutEngine } from '../open-engine.ts';
import { buildAddon } from './addon.ts';

const run = promisify(execFile);
const FUZZ = fileURLToPath(new URL('fuzz.ts', import.meta.url));
const CALLS = 40_000;
const DEADLINE_MS = 90_000;

/** The library that has to be loaded before Node when the addon is built with the sanitizers; null when there is none. */
async function sanitizerLibrary(): Promise<string | null> {
  try {
    const { stdout } = await run('c++', ['-print-file-name=libasan.so']);
    return existsSync(stdout.trim()) ? stdout.trim() : null;
  } catch {
    return null;
  }
}
const libasan = await sanitizerLibrary();

async function fuzz(addon: string, seed: number, env: NodeJS.ProcessEnv = {}): Promise<Record<string, number>> {
  const { stdout } = await run(process.execPath, [FUZZ, addon, String(CALLS), String(seed)], {
    env: { ...process.env, ...env },
  });
  return JSON.parse(stdout) as Record<string, number>;
}

describe('the addon', () => {
  it('refuses what makes no sense and survives it', async () => {
    const { through = 0, refused = 0 } = await fuzz(await buildAddon(), 1);
    expect(through + refused).toBe(CALLS);
    // Both halves of what is to be tried were tried.
    expect(Math.min(through, refused)).toBeGreaterThan(CALLS / 10);
  });

  it.skipIf(libasan === null)(
    'touches no memory that is not its own',
    async () => {
      const addon = await buildAddon({ sanitize: true });
      const { through = 0 } = await fuzz(addon, 2, {
        LD_PRELOAD: libasan ?? '',
        // Node itself never frees everything.
        ASAN_OPTIONS: 'detect_leaks=0',
        UBSAN_OPTIONS: 'print_stacktrace=1',
      });
      expect(through).toBeGreaterThan(CALLS / 10);
    },
    DEADLINE_MS,
  );

  it('is built once, and by several at once without harm', async () => {
    const built = await Promise.all([buildAddon(), buildAddon(), buildAddon()]);
    expect(new Set(built).size).toBe(1);
    expect(existsSync(built[0] ?? '')).toBe(true);
  });

  it('says in one line what the compiler lacks', async () => {
    const cacheDirectory = await mkdtemp(join(tmpdir(), 'vestibule-addon-'));
    onTestFinished(() => rm(cacheDirectory, { recursive: true }));
    const build = (...compilers: string[]) => buildAddon({ compilers, caches: [cacheDirectory] });
    await expect(build('no-such-compiler')).rejects.toThrow(/^no C\+\+ compiler \(no-such-compiler\) is installed$/);
    await expect(build('false')).rejects.toThrow(/^false cannot build it/);
    const [first, second] = await Promise.all([build('c++'), build('no-such-compiler', 'c++')]);
    expect(first).toBe(second);
    expect(await readdir(cacheDirectory)).toEqual([basename(first)]);
  }, 60_000);
});

describe('the choice of the engine', () => {
  const missing = () => Promise.reject(new Error('no C++ compiler (c++) is installed'));

  it.each([
    ['portable', missing, 'portable', []],
    [
      'auto',
      missing,
      'portable',
      ['packets are sent by the portable fan-out engine, because no C++ compiler (c++) is installed'],
    ],
    ['auto', undefined, 'native', ['packets are sent by the native fan-out engine']],
    ['native', undefined, 'native', ['packets are sent by the native fan-out engine']],
  ] as const)('%s', async (choice, load, name, said) => {
    const lines: string[] = [];
    const engine = await openFanoutEngine(choice, (line) => lines.push(line), load);
    expect([engine.name, lines]).toEqual([name, said]);
  });

  it('native, and not possible, is an error that names the setting', async () => {
    await expect(openFanoutEngine('native', () => {}, missing)).rejects.toThrow(
      'FANOUT_ENGINE=native is not possible: no C++ compiler (c++) is installed',
    );
  });
});
