/**
 * Sockets that are read outside of JavaScript: one thread counts the media of thousands of viewers by its clear headers.
 * What a packet costs there is a fraction of a microsecond; in `node:dgram` it is some ten.
 */
import { isIPv4 } from 'node:net';
import type { ClientDatagrams } from '../client/client-socket.ts';
import { loadNative } from './build.ts';

const NS_PER_MS = 1e6;
const RECEIVE_BYTES = 4 * 1024 * 1024;
const SLOT_COUNTERS = 6;
const STREAM_COUNTERS = 8;
const MAX_STREAMS = 4;
/**
 * The reading thread rests this long between rounds. What comes meanwhile waits in the sockets' buffers, so a burst is
 * read with few system calls, and its sender need not wake anybody.
 */
const REST_MS = 1;

interface NativeMethods {
  open(address: number, whole: boolean, receiveBytes: number): number;
  port(slot: number): number;
  connect(slot: number, address: number, port: number): void;
  send(slot: number, bytes: Uint8Array): void;
  count(slot: number): void;
  release(slot: number): void;
  counters(slot: number, into: Float64Array): void;
  totals(into: Float64Array): void;
}

interface NativeReceiverAddon {
  create(onDatagram: (slot: number, datagram: Buffer, atMs: number) => void, restMs: number): NativeMethods;
}

/** What came in one RTP stream. */
export interface StreamCounts {
  ssrc: number;
  payloadType: number;
  /** Extended numbers. */
  first: number;
  highest: number;
  /** Packets, each counted once. */
  unique: number;
  /** How often numbers were skipped, whether what was left out came later or not. */
  gaps: number;
  duplicates: number;
  /** RTP time of the newest packet. */
  timestamp: number;
}

export interface SlotCounts {
  packets: number;
  /** SRTP. */
  bytes: number;
  rtcp: number;
  /** As `performance.now()`; null: none came. */
  firstMs: number | null;
  /** Dropped by the kernel because this socket's buffer was full: the fault of the one who measures. */
  overflowed: number;
  streams: StreamCounts[];
}

export interface ReceiverTotals {
  /** Of the reading thread. */
  cpuS: number;
  systemCalls: number;
  /** Datagrams that were not media and too long for the short read. */
  cut: number;
}

let opened: Promise<NativeReceiver> | null = null;

/** One per process. @throws Error in one line, where it cannot be built */
export function openNativeReceiver(): Promise<NativeReceiver> {
  opened ??= loadNative('receiver.cc').then((addon) => new NativeReceiver(addon as NativeReceiverAddon));
  return opened;
}

export class NativeReceiver {
  readonly #native: NativeMethods;
  readonly #listeners = new Map<number, (datagram: Buffer, atMs: number) => void>();
  readonly #counters = new Float64Array(SLOT_COUNTERS + MAX_STREAMS * STREAM_COUNTERS);
  readonly #totals = new Float64Array(3);

  constructor(addon: NativeReceiverAddon) {
    // Both count from the same clock, CLOCK_MONOTONIC, but not from the same moment.
    const originMs = Number(process.hrtime.bigint()) / NS_PER_MS - performance.now();
    this.originMs = originMs;
    this.#native = addon.create(
      (slot, datagram, atMs) => this.#listeners.get(slot)?.(datagram, atMs - originMs),
      REST_MS,
    );
  }

  readonly originMs: number;

  /**
   * A client's socket on a free port.
   * @param whole media goes to `onDatagram` as well, with the kernel's time of arrival, and is counted too
   * @throws when the kernel gives none
   */
  open(address: string, whole: boolean, onDatagram: (datagram: Buffer, atMs: number) => void): NativeSocket {
    const slot = this.#native.open(addressNumber(address), whole, RECEIVE_BYTES);
    this.#listeners.set(slot, onDatagram);
    return new NativeSocket(this, this.#native, slot);
  }

  get totals(): ReceiverTotals {
    this.#native.totals(this.#totals);
    const [cpuS = 0, systemCalls = 0, cut = 0] = this.#totals;
    return { cpuS, systemCalls, cut };
  }

  /** Called by the socket. */
  forget(slot: number): void {
    this.#listeners.delete(slot);
  }

  /** Called by the socket. */
  counts(slot: number): SlotCounts {
    const all = this.#counters;
    this.#native.counters(slot, all);
    const [packets = 0, bytes = 0, rtcp = 0, firstMs = -1, overflowed = 0, streams = 0] = all;
    return {
      packets,
      bytes,
      rtcp,
      firstMs: firstMs < 0 ? null : firstMs - this.originMs,
      overflowed,
      streams: Array.from({ length: streams }, (_, index) => {
        const from = SLOT_COUNTERS + index * STREAM_COUNTERS;
        const [ssrc = 0, payloadType = 0, first = 0, highest = 0, unique = 0, gaps = 0, duplicates = 0, timestamp = 0] =
          all.subarray(from, from + STREAM_COUNTERS);
        return { ssrc, payloadType, first, highest, unique, gaps, duplicates, timestamp };
      }),
    };
  }
}

export class NativeSocket implements ClientDatagrams {
  /** Nothing is impaired here. */
  impair = {};
  readonly #receiver: NativeReceiver;
  readonly #native: NativeMethods;
  readonly #slot: number;
  #last: SlotCounts | null = null;

  constructor(receiver: NativeReceiver, native: NativeMethods, slot: number) {
    this.#receiver = receiver;
    this.#native = native;
    this.#slot = slot;
  }

  get port(): number {
    return this.#native.port(this.#slot);
  }

  /** What came so far; after the end, until then. */
  get counts(): SlotCounts {
    return this.#last ?? this.#receiver.counts(this.#slot);
  }

  connectTo(address: string, port: number): void {
    this.#native.connect(this.#slot, addressNumber(address), port);
  }

  send(datagram: Buffer): void {
    if (this.#last === null) this.#native.send(this.#slot, datagram);
  }

  /** From now on media is counted, and its payload not read. */
  countOnly(): void {
    this.#native.count(this.#slot);
  }

  rebind(): Promise<void> {
    return Promise.reject(new Error('a counting socket stays where it is'));
  }

  /** Idempotent. */
  close(): Promise<void> {
    if (this.#last === null) {
      this.#last = this.counts;
      this.#receiver.forget(this.#slot);
      this.#native.release(this.#slot);
    }
    return Promise.resolve();
  }
}

function addressNumber(address: string): number {
  if (!isIPv4(address)) throw new RangeError(`${address}: no IPv4 address`);
  return Buffer.from(address.split('.').map(Number)).readUInt32BE();
}
