import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openFanoutEngine } from '../open-engine.ts';
import { type BuildStep, buildAddon, loadAddon } from './addon.ts';
import { buildInTurn } from './build-turn.ts';
import { noteUse, removeOldBuilds } from './old-builds.ts';
import { testAddon } from './self-test.ts';

const run = promisify(execFile);
const ADDON = new URL('addon.ts', import.meta.url).href;
const FUZZ = fileURLToPath(new URL('fuzz.ts', import.meta.url));
const CALLS = 40_000;
/** A build with checks takes a quarter of a minute, and minutes where others compute as well. */
const DEADLINE_MS = 240_000;

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

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'vestibule-addon-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  return directory;
}

/** One that nobody has waited for yet (a container without an init) has ended, too. */
function hasEnded(pid: number): boolean {
  try {
    return /^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'utf8'));
  } catch {
    return true;
  }
}

async function fuzz(addon: string, seed: number, env: NodeJS.ProcessEnv = {}): Promise<Record<string, number>> {
  const { stdout } = await run(process.execPath, [FUZZ, addon, String(CALLS), String(seed)], {
    env: { ...process.env, ...env },
  });
  return JSON.parse(stdout) as Record<string, number>;
}

describe('the addon', () => {
  it(
    'refuses what makes no sense and survives it',
    async () => {
      const { through = 0, refused = 0 } = await fuzz(await buildAddon(), 1);
      expect(through + refused).toBe(CALLS);
      // Both halves of what is to be tried were tried.
      expect(Math.min(through, refused)).toBeGreaterThan(CALLS / 10);
    },
    DEADLINE_MS,
  );

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

  it(
    'is built once, and by several at once without harm',
    async () => {
      const built = await Promise.all([buildAddon(), buildAddon(), buildAddon()]);
      expect(new Set(built).size).toBe(1);
      expect(existsSync(built[0] ?? '')).toBe(true);
    },
    DEADLINE_MS,
  );

  it('says in one line what the compiler lacks', async () => {
    const cacheDirectory = await temporary();
    const said: string[] = [];
    const onStep = (step: string) => void said.push(step);
    const build = (...compilers: string[]) => buildAddon({ compilers, caches: [cacheDirectory], onStep });
    await expect(build('no-such-compiler')).rejects.toThrow(/^no C\+\+ compiler \(no-such-compiler\) is installed$/);
    expect(said).toEqual([]);
    await expect(build('false')).rejects.toThrow(/^false cannot build it/);
    expect(said).toEqual(['compiling']);
    // Stands in for a compiler, which takes long: what it makes of its sources has been made already.
    const quick = join(await mkdtemp(join(tmpdir(), 'vestibule-compiler-')), 'quick-c++');
    onTestFinished(() => rm(dirname(quick), { recursive: true }));
    await writeFile(quick, `#!/bin/sh\nfor output; do :; done\n[ $# = 1 ] || cp '${await buildAddon()}' "$output"\n`, {
      mode: 0o755,
    });
    const [first, second] = await Promise.all([build(quick), build('no-such-compiler', quick)]);
    expect(first).toBe(second);
    expect(await readdir(cacheDirectory)).toEqual([basename(first)]);
  });

  it('is built by one process while others wait; by the next when that one fails or is dead', async () => {
    const directory = await temporary();
    const path = join(directory, 'made');
    const begun = Promise.withResolvers<void>();
    const failing = Promise.withResolvers<void>();
    const builds: string[] = [];
    const waiting: string[] = [];
    const take = (
      who: string,
      build = async (): Promise<void> => {
        builds.push(who);
        await writeFile(path, who);
      },
    ) => buildInTurn(path, { patienceMs: 60_000, build, onWait: () => waiting.push(who) });
    const first = take('a', () => {
      begun.resolve();
      return failing.promise;
    });
    await begun.promise;
    const others = ['b', 'c'].map((who) => take(who));
    await expect.poll(() => waiting.toSorted()).toEqual(['b', 'c']);
    failing.reject(new Error('no room'));
    await expect(first).rejects.toThrow('no room');
    await Promise.all(others);
    expect(builds.length).toBe(1);
    expect(waiting.toSorted()).toEqual(['b', 'c']);
    expect(await readdir(directory)).toEqual(['made']);

    await rm(path);
    await writeFile(`${path}.turn`, String(2 ** 30));
    await take('after a dead one');
    await rm(path);
    await writeFile(`${path}.turn`, String(process.pid));
    await utimes(`${path}.turn`, 0, 0);
    await take('after a stuck one');
    expect(builds.slice(1)).toEqual(['after a dead one', 'after a stuck one']);
  });

  it('removes builds that nobody has used for longest, and what was left half done', async () => {
    const cacheDirectory = await temporary();
    const nameOf = (digit: number) => `fanout-${String(digit).repeat(16)}.node`;
    const others = ['fanout-checked-0000000000000000.node', 'other.mkv', `${nameOf(9)}.half`];
    for (const [age, name] of [...Array.from({ length: 8 }, (_, digit) => nameOf(digit)), ...others].entries()) {
      await writeFile(join(cacheDirectory, name), '');
      await utimes(join(cacheDirectory, name), 1_000 - age, 1_000 - age);
    }
    await noteUse(join(cacheDirectory, nameOf(6)));
    await noteUse(join(cacheDirectory, 'missing'));
    await removeOldBuilds(cacheDirectory, 'fanout', nameOf(7));
    const kept = [...[0, 1, 2, 6, 7].map(nameOf), 'fanout-checked-0000000000000000.node', 'other.mkv'];
    expect((await readdir(cacheDirectory)).sort()).toEqual(kept.sort());
    await removeOldBuilds(join(cacheDirectory, 'missing'), 'fanout', '');
  });

  it.each(['SIGTERM', 'SIGINT'] as const)('leaves no compiler behind when the node is ended by %s', async (signal) => {
    const directory = await temporary();
    const pids = join(directory, 'pids');
    const compiler = join(directory, 'compiler');
    // As compilers are: a driver that waits for what it started.
    await writeFile(compiler, `#!/bin/sh\nsleep 1000 &\necho $$ $! > ${pids}.new\nmv ${pids}.new ${pids}\nwait\n`);
    await chmod(compiler, 0o755);
    const source = `import(${JSON.stringify(ADDON)}).then(({ buildAddon }) =>
      buildAddon({ compilers: [${JSON.stringify(compiler)}], caches: [${JSON.stringify(directory)}] }))`;
    const node = spawn(process.execPath, ['-e', source], { stdio: 'inherit' });
    const ended = once(node, 'exit');
    await expect.poll(() => existsSync(pids)).toBe(true);
    node.kill(signal);
    expect(await ended).toEqual([null, signal]);
    for (const pid of (await readFile(pids, 'utf8')).trim().split(' ')) {
      await expect.poll(() => hasEnded(Number(pid))).toBe(true);
    }
  });
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
    const engine = await openFanoutEngine(choice, (line) => lines.push(line), load && { load });
    expect([engine.name, lines]).toEqual([name, said]);
  });

  it('says before it compiles, because that takes a while', async () => {
    const lines: string[] = [];
    const load = (onStep: (step: BuildStep) => void) => {
      onStep('waiting for another process that compiles');
      onStep('compiling');
      return loadAddon();
    };
    await openFanoutEngine('auto', (line) => lines.push(line), { load });
    expect(lines).toEqual([
      'waiting for another process that compiles the native fan-out engine',
      expect.stringMatching(/^compiling the native fan-out engine/),
      'packets are sent by the native fan-out engine',
    ]);
  });

  it('native, and not possible, is an error that names the setting', async () => {
    await expect(openFanoutEngine('native', () => {}, { load: missing })).rejects.toThrow(
      'FANOUT_ENGINE=native is not possible: no C++ compiler (c++) is installed',
    );
  });

  it('an addon that fails its test is not used', async () => {
    const lines: string[] = [];
    const test = () => {
      throw new Error('it protects wrongly with AEAD_AES_128_GCM');
    };
    const engine = await openFanoutEngine('auto', (line) => lines.push(line), { test });
    expect([engine.name, lines]).toEqual([
      'portable',
      ['packets are sent by the portable fan-out engine, because it protects wrongly with AEAD_AES_128_GCM'],
    ]);
    await expect(openFanoutEngine('native', () => {}, { test })).rejects.toThrow(
      /^FANOUT_ENGINE=native is not possible/,
    );
  });

  it('says when the kernel cuts no messages', async () => {
    const lines: string[] = [];
    await openFanoutEngine('auto', (line) => lines.push(line), { test: () => ({ cuts: false }) });
    expect(lines).toEqual(['packets are sent by the native fan-out engine, one by one: this kernel cuts no messages']);
  });

  it('the test finds an addon that protects wrongly', async () => {
    const addon = await loadAddon();
    const wrong = {
      ...addon,
      create: () => {
        const native = addon.create();
        const openPeer = (profile: number, keys: Uint8Array) =>
          native.openPeer(
            profile,
            keys.map((byte) => byte ^ 1),
          );
        return { ...native, openPeer };
      },
    };
    expect(testAddon(addon)).toEqual({ cuts: expect.any(Boolean) });
    expect(() => testAddon(wrong)).toThrow('it protects wrongly with AEAD_AES_128_GCM');
  });
});
