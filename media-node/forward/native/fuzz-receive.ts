/**
 * As `fuzz.ts`, for the receiving half: `node --expose-gc fuzz-receive.ts ADDON CALLS SEED`. Sockets are on loopback and
 * send to each other; receivers and sockets end in all ways, in the middle of a batch, too.
 */
import { createRequire } from 'node:module';
import { seededRandom } from '../testing/keys.ts';
import type { Addon } from './addon.ts';
import { COLUMN, COLUMNS, KIND, type ReceiveMethods, SLOT_BYTES, SLOTS, STATE, STATES } from './receive-methods.ts';

const [path = '', calls = '10000', seed = '1'] = process.argv.slice(2);
const addon = createRequire(import.meta.url)(path) as Addon;
const random = seededRandom(Number(seed));
const below = (limit: number): number => Math.floor(random() * limit);
const oneOf = <T>(list: readonly T[]): T => list[below(list.length)] as T;

const NUMBERS = [-2, -1, 0, 1, 2, 12, 64, 65_535, 65_536, 2 ** 31, 2 ** 32, 2 ** 53, 1e300];
const LENGTHS = [0, 1, 4, 8, 11, 12, 20, 28, 64, 100, 1200, 2048, 2049];
const KEY_LENGTHS = [56, 100, 56, 100, 40];
const MAX_SOCKETS = 12;

function wrong(): unknown {
  return oneOf([null, undefined, true, 'text', {}, [], -1, 1.5, NaN, Infinity, 7n, Symbol('x'), new Uint16Array(40)]);
}

const handle = (): number => below(5);
/** Mostly one that is open. */
const socket = (): number => (world.sockets.length > 0 && below(8) > 0 ? oneOf(world.sockets) : handle());
const number = (): number => (below(3) === 0 ? oneOf(NUMBERS) : below(200));
const text = (): string => oneOf(['127.0.0.1', '::1', '127.0.0.1', 'fe80::1%lo', '::%9', '', 'x'.repeat(200), '1.2.3']);
const claimed = (): string => oneOf(['127.0.0.1', '127.0.0.1', '::1', 'fe80::1%lo', text()]);

/** Of any length, often with the first bytes of RTP or RTCP. */
function bytes(): Buffer {
  const made = Buffer.alloc(below(3) === 0 ? oneOf(LENGTHS) : below(200), below(256));
  if (below(2) === 0 && made.length > 2) {
    made[0] = 0x80 | below(32);
    made[1] = below(256);
  }
  return made;
}

const outcome = { through: 0, refused: 0, received: 0, opened: 0 };
const ports: number[] = [];

/** One receiver, what it was started with, and its sockets. */
class World {
  native: ReceiveMethods = addon.createReceiver();
  readonly slab = Buffer.alloc(SLOTS * SLOT_BYTES);
  readonly columns = new Float64Array(SLOTS * COLUMNS);
  readonly sockets: number[] = [];

  constructor() {
    if (below(6) > 0) this.native.start(this.slab, this.columns, (socket, count) => this.take(socket, count));
  }

  take(socket: number, count: number): void {
    outcome.received += count;
    for (let slot = 0; slot < count; slot++) {
      const row = slot * COLUMNS;
      const length = this.columns[row + COLUMN.length] ?? -1;
      if (!(length >= 0 && length <= SLOT_BYTES)) throw new Error('a length out of its range');
      if (this.columns[row + COLUMN.kind] !== KIND.raw) outcome.opened++;
      this.slab.subarray(slot * SLOT_BYTES, slot * SLOT_BYTES + length).fill(1);
    }
    if (below(40) === 0) step(this, 'closeSocket', [socket]);
    if (below(10) === 0) step(this, 'senderOf', [socket, 0, Buffer.alloc(64)]);
    if (below(200) === 0) step(this, 'end', []);
    if (below(200) === 0) structuredClone(this.slab.buffer, { transfer: [this.slab.buffer] });
    if (below(60) === 0) renew();
    if (below(20) === 0) globalThis.gc?.();
  }
}

let world = new World();
/** Mostly one in which everything is there: sockets that know each other, and openers. */
function renew(): void {
  world = new World();
  ports.length = 0;
  if (below(6) === 0) return;
  for (let i = 0; i < 3; i++) step(world, 'openOpener', [1 + (i % 2), Buffer.alloc(i % 2 === 0 ? 56 : 100, i)]);
  for (let i = 0; i < 3; i++) step(world, 'openSocket', ['127.0.0.1', 0, 65_536, 65_536]);
  for (const to of world.sockets)
    for (const port of ports.slice(-3)) step(world, 'claim', [to, '127.0.0.1', port, below(4) - 1]);
}

/** Arguments as they should be, if not in what they name. */
const ARGUMENTS: Record<string, readonly (() => unknown)[]> = {
  start: [() => Buffer.alloc(SLOTS * SLOT_BYTES - below(2)), () => new Float64Array(SLOTS * COLUMNS), () => () => {}],
  end: [],
  openSocket: [
    () => oneOf(['127.0.0.1', '127.0.0.1', '::1', text()]),
    () => 0,
    () => below(100_000),
    () => (below(10) === 0 ? number() : 65_536),
  ],
  closeSocket: [socket],
  socketState: [socket, () => new Float64Array(below(2) === 0 ? STATES : below(20))],
  send: [
    socket,
    bytes,
    () => '127.0.0.1',
    () => (ports.length > 0 && below(10) > 0 ? oneOf(ports) : 1 + below(60_000)),
  ],
  senderOf: [socket, () => below(70), () => Buffer.alloc(below(80))],
  claim: [socket, claimed, () => (ports.length > 0 && below(4) > 0 ? oneOf(ports) : number()), () => below(5) - 1],
  setOpener: [socket, handle, () => below(5) - 1],
  release: [socket, handle],
  openOpener: [() => 1 + below(2), () => Buffer.alloc(oneOf(KEY_LENGTHS), below(256))],
  closeOpener: [handle],
  openMedia: [handle, bytes, () => below(2100), () => new Float64Array(below(10) === 0 ? below(6) : COLUMNS)],
  ssrcCount: [handle],
};
const NAMES = Object.keys(ARGUMENTS);
if (Object.keys(world.native).sort().join() !== [...NAMES].sort().join())
  throw new Error('an entry point is not fuzzed');

function step(on: World, name: string, given: readonly unknown[]): void {
  try {
    const made = (on.native as unknown as Record<string, (...list: unknown[]) => unknown>)[name]?.(...given);
    if (name === 'openSocket' && typeof made === 'number' && made >= 0) note(on, made);
    if (name === 'end') on.sockets.length = 0;
    if (name === 'closeSocket') on.sockets.splice(on.sockets.indexOf(Number(given[0])), 1);
    outcome.through++;
  } catch (error) {
    if (!(error instanceof Error)) throw new Error(`${name} threw ${String(error)}`);
    outcome.refused++;
  }
}

function note(on: World, socket: number): void {
  const state = new Float64Array(STATES);
  on.native.socketState(socket, state);
  ports.push(state[STATE.port] ?? 0);
  on.sockets.push(socket);
  if (ports.length > MAX_SOCKETS) ports.shift();
  if (on.sockets.length > MAX_SOCKETS) step(on, 'closeSocket', [on.sockets.shift()]);
}

const total = Number(calls);
renew();
function round(): void {
  for (let i = 0; i < 40 && outcome.through + outcome.refused < total; i++) {
    let name = oneOf(NAMES);
    if (name.startsWith('close') && below(10) > 0) name = `open${name.slice('close'.length)}`;
    if (name === 'end' && below(10) > 0) name = 'send';
    if (below(3) === 0) name = oneOf(['send', 'send', 'claim']);
    const given = (ARGUMENTS[name] ?? []).map((make) => (below(40) === 0 ? wrong() : make()));
    if (below(40) === 0) given.length = below(given.length + 1);
    if (below(40) === 0) given.push(wrong(), wrong(), wrong());
    step(world, name, given);
    // One that has ended, or never began, refuses all that follows.
    if (below(world.sockets.length === 0 || name === 'end' ? 50 : 1_000) === 0) renew();
  }
  // Receivers end by garbage collection, with what is open in them.
  if (below(10) === 0) globalThis.gc?.();
  if (outcome.through + outcome.refused < total) {
    setImmediate(round);
    return;
  }
  // Some sockets are still open: the process ends with them.
  process.stdout.write(`${JSON.stringify(outcome)}\n`, () => process.exit());
}
round();
