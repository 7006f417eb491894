/**
 * The seam under which packets leave: one source packet in, one protected packet per viewer out. The engine owns what is
 * needed per viewer and packet (keys, rewrite rules, the way out) and nothing else, so that it can live in JavaScript or
 * in an addon. Everything is named by small integers; nothing is allocated per packet and viewer by callers.
 *
 * `fanout-engine.contract.ts` holds what every implementation must do.
 */
import type { DatagramRoute, SrtpKeys } from '../transport/types.ts';
import type { SourcePacket } from './source-packet.ts';
import type { StoredBatch } from './stored-packets.ts';
import type { SendDatagram, SendingStats } from './types.ts';

/** A viewer session: keys and a way out. */
export type PeerHandle = number;
/** One stream (SSRC) to a viewer. */
export type SinkHandle = number;
/** The sinks that get each packet of one source stream as it comes. */
export type GroupHandle = number;

/** Calls `listener` at once and on each change; null: nothing can be sent (any more). */
export type WatchRoute = (listener: (route: DatagramRoute | null) => void) => void;

/** What stays the same on a sink for its life. */
export interface SinkRules {
  ssrc: number;
  payloadType: number;
  /** Null: retransmissions go out as the packets that they repeat. */
  rtx: { ssrc: number; payloadType: number } | null;
  /** Id of the mid header extension, written on each packet; 0: not negotiated. */
  midId: number;
  mid: string;
  /** The viewer's ids for `COPIED_EXTENSIONS`; 0: not negotiated. */
  copiedIds: Uint8Array;
}

/** Where the packets of a group appear on a sink. */
export interface SinkMapping {
  /** Packets before this source sequence number are not for this sink. */
  fromSequence: number;
  /** Sent extended sequence number − source sequence number. The sum must never be negative. */
  sequenceDelta: number;
  /** Sent timestamp − source timestamp, modulo 2^32. */
  timestampDelta: number;
}

/** What stays the same in a group for its life. */
export interface GroupOptions {
  /** The publisher's ids for `COPIED_EXTENSIONS`: what is sent out of the group's log is read by them. */
  sourceIds: Uint8Array;
  /**
   * The last packet of each frame has its marker set (video). Under load an engine may hold the others back for a few
   * milliseconds, so that a frame leaves in one go.
   */
  framed: boolean;
}

/** What a sink sent on its primary SSRC, as a sender report counts (payload octets). */
export interface SinkCounters {
  packets: number;
  bytes: number;
}

export interface FanoutEngine {
  readonly name: 'portable' | 'native';
  /** All datagrams sent, RTCP included; `failed`: those that the way out threw at, or that the kernel refused. */
  readonly counters: Readonly<{ packets: number; bytes: number; failed: number }>;
  /** How datagrams left and what waited, of an engine that talks to the kernel by itself; null: node:dgram does. */
  readonly sending: SendingStats | null;
  /** Packets that `sendStored` takes in this turn of the event loop; more might be dropped. */
  readonly room: number;

  /**
   * Without keys packets leave as plain RTP and RTCP: for programs on this machine. An engine that talks to the kernel
   * by itself takes the way that `watchRoute` tells, when it tells one at once, and uses `send` otherwise.
   */
  openPeer(keys: SrtpKeys | null, send: SendDatagram, watchRoute?: WatchRoute): PeerHandle;
  /** Close its sinks first. */
  closePeer(peer: PeerHandle): void;
  openSink(peer: PeerHandle, rules: SinkRules): SinkHandle;
  /** Leaves its group, too. */
  closeSink(sink: SinkHandle): void;
  /** Without options: nothing is sent out of its log, and no packet is held back. */
  openGroup(options?: GroupOptions): GroupHandle;
  /**
   * Memory for the packets of the group, where the engine finds them again without being handed them. It replaces the
   * one before, which stays what it is for who looks at it.
   */
  openLog(group: GroupHandle, bytes: number): Buffer;
  /** Its sinks stay open. */
  closeGroup(group: GroupHandle): void;
  /** Puts the sink into `group`; it leaves the one it was in. */
  join(group: GroupHandle, sink: SinkHandle, mapping: SinkMapping): void;
  leave(sink: SinkHandle): void;

  /** Sends the packet to all sinks of the group; from its log when `packet.logStart` says that it is there. */
  fanout(group: GroupHandle, packet: SourcePacket): void;
  /**
   * Sends a packet to one sink under this extended sequence number and timestamp. The same number may only be used
   * again for the same packet: a cipher must not see one nonce with two contents.
   */
  sendOne(sink: SinkHandle, packet: SourcePacket, extSequence: number, timestamp: number): void;
  /**
   * Sends packets out of the log of `group` to one sink: as `sendOne` each, or as `sendRtx`.
   * @throws {RangeError} when there is no packet at one of the places
   */
  sendStored(sink: SinkHandle, group: GroupHandle, batch: StoredBatch, byRtx: boolean): void;
  /** Repeats a packet by RTX (RFC 4588); the sink must have been opened with `rtx`. */
  sendRtx(sink: SinkHandle, packet: SourcePacket, extSequence: number, timestamp: number): void;
  /** Protects and sends the RTCP compound in the first `length` bytes of `buffer`, which has `SRTP_OVERHEAD` to spare. */
  sendRtcp(peer: PeerHandle, buffer: Buffer, length: number): void;
  sinkCounters(sink: SinkHandle, into: SinkCounters): void;
}
