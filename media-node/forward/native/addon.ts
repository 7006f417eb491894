/**
 * The addon in `addon/`: built with the system's C++ compiler when it is needed first, kept by a hash of all that it
 * depends on. Nothing is downloaded; what it needs of Node and OpenSSL is in the running binary.
 */
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildInTurn } from './build-turn.ts';
import { runCompiler } from './compiler.ts';
import { noteUse, removeOldBuilds } from './old-builds.ts';
import type { ReceiveMethods } from './receive-methods.ts';
import type { SendMethods } from './send-methods.ts';

const require = createRequire(import.meta.url);

const SOURCES = fileURLToPath(new URL('addon/', import.meta.url));
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** The second one is for an installation whose `node_modules` is not ours to write to. */
const CACHES = [join(ROOT, 'node_modules', '.cache', 'vestibule'), join(ROOT, '.vestibule', 'native')];
const COMPILERS = ['c++', 'g++', 'clang++'];
const FLAGS = ['-std=c++17', '-O2', '-shared', '-fPIC', '-fvisibility=hidden'];
const SANITIZE_FLAGS = ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const COMPILE_TIMEOUT_MS = 300_000;
const GONE_CODES = new Set(['MODULE_NOT_FOUND', 'ERR_DLOPEN_FAILED']);

export interface Addon {
  create(): SendMethods;
  createReceiver(): ReceiveMethods;
}

/** What takes time before there is an addon: half a minute on a small machine. */
export type BuildStep = 'compiling' | 'waiting for another process that compiles';

/**
 * Loads the addon, and builds it before when that was not done for these sources and this Node; `onStep` as in `BuildOptions`.
 *
 * @throws {Error} that says in one line why there is none: no Linux, no compiler, what the compiler said
 */
export async function loadAddon(onStep?: (step: BuildStep) => void): Promise<Addon> {
  try {
    return await load(await buildAddon({ onStep }));
  } catch (error) {
    // Another version of the node may have tidied up between the look and the load.
    if (!(error instanceof Error && 'code' in error && GONE_CODES.has(String(error.code)))) throw error;
    return await load(await buildAddon({ onStep }));
  }
}

async function load(path: string): Promise<Addon> {
  const addon = require(path) as Addon;
  await noteUse(path);
  return addon;
}

export interface BuildOptions {
  /** With address and undefined behaviour checks; loads only with the sanitizer's library preloaded. */
  sanitize?: boolean;
  /** Tried in this order until one is there. */
  compilers?: readonly string[];
  /** Directories; the first that can be written is built into. */
  caches?: readonly string[];
  /** Called before each step. */
  onStep?: ((step: BuildStep) => void) | undefined;
}

/** Path of the built addon; several processes may build at once. Errors as those of `loadAddon`. */
export async function buildAddon(options: BuildOptions = {}): Promise<string> {
  const { sanitize = false, caches = CACHES } = options;
  if (process.platform !== 'linux') throw new Error(`the native engine runs on Linux, this is ${process.platform}`);
  const flags = sanitize ? [...FLAGS, ...SANITIZE_FLAGS] : FLAGS;
  const kind = sanitize ? 'fanout-checked' : 'fanout';
  const name = `${kind}-${await fingerprint(flags)}.node`;
  const present = caches.map((cache) => join(cache, name)).find((path) => existsSync(path));
  if (present !== undefined) return present;
  const cache = await writableCache(caches);
  const compilers = options.compilers ?? [...(process.env.CXX ? [process.env.CXX] : []), ...COMPILERS];
  const path = join(cache, name);
  const build = async (): Promise<void> => {
    const built = `${path}.${randomUUID()}`;
    try {
      const compiler = await presentCompiler(compilers);
      options.onStep?.('compiling');
      await compile(compiler, flags, built);
      // Atomic: another process sees nothing or all of it.
      await rename(built, path);
    } finally {
      await rm(built, { force: true });
    }
    await removeOldBuilds(cache, kind, name);
  };
  const onWait = (): void => options.onStep?.('waiting for another process that compiles');
  await buildInTurn(path, { patienceMs: COMPILE_TIMEOUT_MS, build, onWait });
  return path;
}

async function fingerprint(flags: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update([process.version, process.arch, systemLibrary(), ...flags].join(' '));
  for (const file of (await readdir(SOURCES)).sort()) hash.update(file).update(await readFile(join(SOURCES, file)));
  return hash.digest('hex').slice(0, 16);
}

/** A container and its host, or two containers, may share `node_modules` and have different ones. */
function systemLibrary(): string {
  const { report } = process;
  // Without it (the types do not know it), addresses are looked up by name, which takes seconds where nobody answers.
  Reflect.set(report, 'excludeNetwork', true);
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } };
  return header.glibcVersionRuntime ?? 'another';
}

async function writableCache(caches: readonly string[]): Promise<string> {
  let last: unknown;
  for (const cache of caches) {
    try {
      await mkdir(cache, { recursive: true });
      return cache;
    } catch (error) {
      last = error;
    }
  }
  throw new Error(`no directory for the built addon can be written (${caches.join(', ')})`, { cause: last });
}

/** The first that is installed. @throws {Error} when none is */
async function presentCompiler(compilers: readonly string[]): Promise<string> {
  for (const compiler of compilers) {
    try {
      await runCompiler(compiler, ['--version'], COMPILE_TIMEOUT_MS);
    } catch (error) {
      // Whatever else is wrong with it, it says so when it compiles.
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') continue;
    }
    return compiler;
  }
  throw new Error(`no C++ compiler (${compilers.join(', ')}) is installed`);
}

async function compile(compiler: string, flags: readonly string[], output: string): Promise<void> {
  const headers = join(dirname(require.resolve('node-api-headers/package.json')), 'include');
  const units = (await readdir(SOURCES)).filter((name) => name.endsWith('.cc')).map((name) => join(SOURCES, name));
  await runCompiler(compiler, [...flags, `-I${headers}`, ...units, '-o', output], COMPILE_TIMEOUT_MS);
}
