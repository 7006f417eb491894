/**
 * Calls the addon with arguments of every kind, right and wrong: `node fuzz.ts ADDON CALLS SEED`. A crash ends the
 * process; what the addon refuses, it must refuse with an Error. Prints how many calls went through and were refused.
 */
import { createRequire } from 'node:module';
import { seededRandom } from '../testing/keys.ts';
import type { Addon } from './addon.ts';
import { DESCRIPTOR_LENGTH } from './packet-descriptor.ts';

const [path = '', calls = '10000', seed = '1'] = process.argv.slice(2);
const addon = createRequire(import.meta.url)(path) as Addon;
const random = seededRandom(Number(seed));
const below = (limit: number): number => Math.floor(random() * limit);

const NUMBERS = [0, 1, 2, 3, 12, 255, 65_535, 65_536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53, 1e300];
const LENGTHS = [0, 1, 4, 8, 12, 16, 28, 100, 1200, 2047, 2048, 2049, 4096];
/** Of the keys of the three profiles. */
const KEY_LENGTHS = [0, 56, 100];

function wrong(): unknown {
  const kinds = [null, undefined, true, 'text', {}, [], -1, 1.5, NaN, Infinity, 7n, Symbol('x'), new Uint16Array(40)];
  return kinds[below(kinds.length)];
}

const handle = (): number => below(12);
const number = (): number => (below(3) === 0 ? (NUMBERS[below(NUMBERS.length)] ?? 0) : below(200));
const bytes = (): Uint8Array => {
  const whole = Buffer.alloc(LENGTHS[below(LENGTHS.length)] ?? 0, below(256));
  return below(4) === 0 ? whole.subarray(below(whole.length + 1)) : whole;
};
const keys = (): Uint8Array => Buffer.alloc(KEY_LENGTHS[below(3)] ?? 0, below(256));
const ids = (): Uint8Array => Uint8Array.from({ length: below(8) === 0 ? below(9) : 6 }, () => below(256));

function descriptor(): Float64Array {
  const array = new Float64Array(below(20) === 0 ? below(DESCRIPTOR_LENGTH) : DESCRIPTOR_LENGTH);
  for (let i = 0; i < array.length; i++) array[i] = below(20) === 0 ? number() : below(30);
  if (below(3) === 0) array[1] = below(below(2) === 0 ? 2_060 : 4_100);
  if (below(50) === 0) array[below(array.length)] = [NaN, Infinity, -1, -1e300][below(4)] ?? 0;
  return array;
}

const maybeOut = (): Uint8Array | undefined => (below(2) === 0 ? undefined : bytes());
const place = (): number => (below(3) === 0 ? number() : below(4_000));
const length = (): number => (below(3) === 0 ? number() : 12 + below(1_300));

function rows(): Float64Array {
  const array = new Float64Array(below(20) === 0 ? below(16) : 16);
  for (let i = 0; i < array.length; i++) array[i] = [place, length, number, number][i % 4]?.() ?? 0;
  return array;
}

/** Fills a log with packets, most of them whole: with header extensions, padding, CSRCs. */
function fill(log: Buffer): void {
  for (let at = 0; at < log.length; at += 1 + below(40)) {
    log[at] = [0x80, 0x90, 0xa0, 0xb0, 0x8f, below(256)][below(6)] ?? 0;
    log.fill(below(256), at + 1, Math.min(at + 12, log.length));
    if (at + 16 < log.length) log.set([below(2) === 0 ? 0xbe : 0x10, below(2) === 0 ? 0xde : 0, 0, below(6)], at + 12);
  }
}

/** Arguments as they should be, if not in what they name. */
const ARGUMENTS: Record<string, readonly (() => unknown)[]> = {
  openPeer: [() => below(3), keys],
  closePeer: [handle],
  // Not a socket, or none: what is sent must not reach anybody.
  setRoute: [handle, () => -1 + below(2) * 1_000_000, () => Buffer.alloc(below(2) * 12 + 4), number, bytes],
  openSink: [handle, number, () => below(128), number, () => below(256), () => below(16), () => bytes(), ids],
  closeSink: [handle],
  openGroup: [ids, () => below(2)],
  closeGroup: [handle],
  join: [handle, handle, number, number, number],
  leave: [handle],
  openLog: [handle, () => 2 ** (8 + below(8))],
  fanout: [handle, bytes, descriptor],
  fanoutStored: [handle, place, length, number],
  sendOne: [handle, bytes, descriptor, number, number, maybeOut],
  sendRtx: [handle, bytes, descriptor, number, number, maybeOut],
  sendRtcp: [handle, bytes, number, () => (below(2) === 0 ? undefined : true)],
  sendStored: [handle, handle, rows, () => below(4), () => below(5), () => below(2), maybeOut],
  sinkCounters: [handle],
  counters: [],
  tryLoopback: [],
  flush: [],
};
const NAMES = Object.keys(ARGUMENTS);

let native = addon.create() as unknown as Record<string, (...given: unknown[]) => unknown>;
if (Object.keys(native).sort().join() !== [...NAMES].sort().join()) throw new Error('an entry point is not fuzzed');
/** Memory of the addon: read and written to the end, whatever became of the engine. */
const logs: Buffer[] = [];
const views: Float64Array[] = [];
function keep(log: Buffer): void {
  logs.push(log);
  if (logs.length > 20) logs.splice(below(20), 1);
}
function touchMemory(): void {
  for (const log of logs) if (below(4) === 0) fill(log);
  if (views.length > 20) views.splice(0, 10);
  for (const view of views) if (view.some((value) => Number.isNaN(value))) throw new Error('a counter is not a number');
}

const outcome = { through: 0, refused: 0 };
for (let call = 0; call < Number(calls); call++) {
  // Closing is rarer than opening, or nothing would ever be open.
  let name = NAMES[below(NAMES.length)] ?? 'flush';
  if (name.startsWith('close') && below(5) > 0) name = `open${name.slice('close'.length)}`;
  const given = (ARGUMENTS[name] ?? []).map((make) => (below(40) === 0 ? wrong() : make()));
  if (below(40) === 0) given.length = below(given.length + 1);
  if (below(40) === 0) given.push(wrong(), wrong(), wrong(), wrong());
  try {
    const made = native[name]?.(...given);
    if (name === 'openLog') keep(Buffer.from(made as ArrayBuffer));
    if (name === 'counters' || name === 'sinkCounters') views.push(new Float64Array(made as ArrayBuffer));
    outcome.through++;
  } catch (error) {
    if (!(error instanceof Error)) throw new Error(`${name} threw ${String(error)}`);
    outcome.refused++;
  }
  if (below(200) === 0) touchMemory();
  // Engines end by garbage collection, with what is open in them.
  if (below(2_000) === 0) native = addon.create() as unknown as typeof native;
}
console.log(JSON.stringify(outcome));
