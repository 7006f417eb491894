/**
 * The addon in `addon/`: built with the system's C++ compiler when it is needed first, kept by a hash of all that it
 * depends on. Nothing is downloaded; what it needs of Node and OpenSSL is in the running binary.
 */
import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { buildInTurn } from './build-turn.ts';
import { removeOldBuilds } from './old-builds.ts';
import type { ReceiveMethods } from './receive-methods.ts';

const run = promisify(execFile);
const require = createRequire(import.meta.url);

const SOURCES = fileURLToPath(new URL('addon/', import.meta.url));
const ROOT = fileURLToPath(new URL('../../../', import.meta.url));
/** The second one is for an installation whose `node_modules` is not ours to write to. */
const CACHES = [join(ROOT, 'node_modules', '.cache', 'vestibule'), join(ROOT, '.vestibule', 'native')];
const COMPILERS = ['c++', 'g++', 'clang++'];
const FLAGS = ['-std=c++17', '-O2', '-shared', '-fPIC', '-fvisibility=hidden'];
const SANITIZE_FLAGS = ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const COMPILE_TIMEOUT_MS = 120_000;
const GONE_CODES = new Set(['MODULE_NOT_FOUND', 'ERR_DLOPEN_FAILED']);

/** One engine inside the addon. Methods throw TypeError or RangeError for arguments that make no sense. */
export interface NativeMethods {
  /** 0: none, 1: AEAD_AES_128_GCM, 2: AES_CM_128_HMAC_SHA1_80. */
  openPeer(profile: number, keys: Uint8Array): number;
  closePeer(peer: number): void;
  /** `fd` −1: nothing leaves. */
  setRoute(peer: number, fd: number, address: Uint8Array, port: number, zone: Uint8Array): void;
  openSink(
    peer: number,
    ssrc: number,
    payloadType: number,
    rtxSsrc: number,
    /** 255: no RTX. */
    rtxPayloadType: number,
    midId: number,
    mid: Uint8Array,
    copiedIds: Uint8Array,
  ): number;
  closeSink(sink: number): void;
  /** `framed`: 1 when the packets come in frames, else 0. */
  openGroup(sourceIds: Uint8Array, framed: number): number;
  closeGroup(group: number): void;
  join(group: number, sink: number, fromSequence: number, sequenceDelta: number, timestampDelta: number): void;
  leave(sink: number): void;
  /** Memory for the packets of a group. */
  openLog(group: number, bytes: number): ArrayBuffer;
  /** 1: held for the packets that follow it in its frame, else 0. The bytes are copied. */
  fanout(group: number, bytes: Uint8Array, descriptor: Float64Array): number;
  /** The same for a packet in the group's log. */
  fanoutStored(group: number, start: number, length: number, sequence: number): number;
  /** Queued, or written into `out` (`MAX_OUTGOING_BYTES`); the length of the datagram. */
  sendOne(
    sink: number,
    bytes: Uint8Array,
    descriptor: Float64Array,
    sequence: number,
    timestamp: number,
    out?: Uint8Array,
  ): number;
  sendRtx(
    sink: number,
    bytes: Uint8Array,
    descriptor: Float64Array,
    sequence: number,
    timestamp: number,
    out?: Uint8Array,
  ): number;
  /** Packets of the group's log (see `StoredBatch`), as `sendOne` or `sendRtx`; `out` is for one packet. */
  sendStored(
    sink: number,
    group: number,
    rows: Float64Array,
    first: number,
    end: number,
    byRtx: number,
    out?: Uint8Array,
  ): number;
  /** Queued, or protected where it is; the length of the datagram. */
  sendRtcp(peer: number, buffer: Uint8Array, length: number, inPlace?: true): number;
  /** Float64Array of packets and bytes of 1024 sinks, of which this is one; stays true. */
  sinkCounters(sink: number): ArrayBuffer;
  /** Float64Array, see `NativeCounters`; stays true. */
  counters(): ArrayBuffer;
  /**
   * Sends datagrams to itself over loopback. 1: the kernel cuts messages, 0: it does not.
   * @throws {Error} when they do not come as they were sent
   */
  tryLoopback(): number;
  /** Sends what waits, a slice of it. In how many milliseconds to call again; 0: nothing waits, −1: in the next turn. */
  flush(): number;
}

export interface Addon {
  create(): NativeMethods;
  createReceiver(): ReceiveMethods;
}

/**
 * Loads the addon, and builds it before when that was not done for these sources and this Node; `onCompile` as in `BuildOptions`.
 *
 * @throws {Error} that says in one line why there is none: no Linux, no compiler, what the compiler said
 */
export async function loadAddon(onCompile?: () => void): Promise<Addon> {
  try {
    return require(await buildAddon({ onCompile })) as Addon;
  } catch (error) {
    // Another version of the node may have tidied up between the look and the load.
    if (!(error instanceof Error && 'code' in error && GONE_CODES.has(String(error.code)))) throw error;
    return require(await buildAddon({ onCompile })) as Addon;
  }
}

export interface BuildOptions {
  /** With address and undefined behaviour checks; loads only with the sanitizer's library preloaded. */
  sanitize?: boolean;
  /** Tried in this order until one is there. */
  compilers?: readonly string[];
  /** Directories; the first that can be written is built into. */
  caches?: readonly string[];
  /** This process is about to compile, which takes half a minute on a small machine. */
  onCompile?: (() => void) | undefined;
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
  await buildInTurn(path, COMPILE_TIMEOUT_MS, async () => {
    const built = `${path}.${randomUUID()}`;
    try {
      options.onCompile?.();
      await compile(compilers, flags, built);
      // Atomic: another process sees nothing or all of it.
      await rename(built, path);
    } finally {
      await rm(built, { force: true });
    }
    await removeOldBuilds(cache, kind, name);
  });
  return path;
}

async function fingerprint(flags: readonly string[]): Promise<string> {
  const hash = createHash('sha256').update([process.version, process.arch, ...flags].join(' '));
  for (const file of (await readdir(SOURCES)).sort()) hash.update(file).update(await readFile(join(SOURCES, file)));
  return hash.digest('hex').slice(0, 16);
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

async function compile(compilers: readonly string[], flags: readonly string[], output: string): Promise<void> {
  const headers = join(dirname(require.resolve('node-api-headers/package.json')), 'include');
  for (const compiler of compilers) {
    try {
      const units = (await readdir(SOURCES)).filter((name) => name.endsWith('.cc')).map((name) => join(SOURCES, name));
      await run(compiler, [...flags, `-I${headers}`, ...units, '-o', output], { timeout: COMPILE_TIMEOUT_MS });
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
