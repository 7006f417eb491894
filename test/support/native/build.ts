/**
 * Small addons of tests and benches, built with the system's C++ compiler when they are needed first and kept by a hash
 * of what they are made of. Not the engine's: what measures must not change with what is measured.
 */
import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const require = createRequire(import.meta.url);

const FOLDER = fileURLToPath(new URL('.', import.meta.url));
const CACHE = fileURLToPath(new URL('../../../node_modules/.cache/vestibule/', import.meta.url));
const FLAGS = ['-std=c++17', '-O2', '-shared', '-fPIC', '-fvisibility=hidden'];
const COMPILERS = ['c++', 'g++', 'clang++'];
const COMPILE_TIMEOUT_MS = 120_000;

/**
 * The exports of an addon whose source stands in this folder.
 * @throws Error whose message is one line, where it cannot be built: no Linux, no compiler
 */
export async function loadNative(source: string): Promise<unknown> {
  if (process.platform !== 'linux') throw new Error(`it needs Linux, this is ${process.platform}`);
  const path = join(FOLDER, source);
  const built = join(CACHE, `${source}-${await madeOf(source)}.node`);
  if (!existsSync(built)) {
    await mkdir(CACHE, { recursive: true });
    const fresh = `${built}.${randomUUID()}`;
    try {
      await compile(path, fresh);
      // Atomic: another process sees nothing or all of it.
      await rename(fresh, built);
    } finally {
      await rm(fresh, { force: true });
    }
  }
  return require(built);
}

/** Changes with the compiler's flags, the source, and every header of the folder, as any of them may be included. */
async function madeOf(source: string): Promise<string> {
  const hash = createHash('sha256').update([process.version, process.arch, ...FLAGS].join(' '));
  const headers = (await readdir(FOLDER)).filter((name) => name.endsWith('.h')).sort();
  for (const name of [source, ...headers]) hash.update(await readFile(join(FOLDER, name)));
  return hash.digest('hex').slice(0, 16);
}

async function compile(source: string, output: string): Promise<void> {
  const headers = join(dirname(require.resolve('node-api-headers/package.json')), 'include');
  const compilers = process.env.CXX ? [process.env.CXX] : COMPILERS;
  for (const compiler of compilers) {
    try {
      await run(compiler, [...FLAGS, `-I${headers}`, source, '-o', output], { timeout: COMPILE_TIMEOUT_MS });
      return;
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') continue;
      const said = error instanceof Error && 'stderr' in error ? String(error.stderr) : '';
      const first = said.split('\n').find((line) => line.includes('error')) ?? said.split('\n', 1)[0];
      throw new Error(`${compiler} cannot build it: ${first}`, { cause: error });
    }
  }
  throw new Error(`no C++ compiler (${compilers.join(', ')}) is installed`);
}
