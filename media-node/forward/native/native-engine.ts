/**
 * The fan-out in the addon. Packets wait there, in the clear, for the end of the event loop's turn (or for the end of
 * their frame, when there is much to send), so that what belongs together leaves together; rewriting, protection and the
 * system calls happen then, in slices. A peer without a route of its own (a tap, a test) is handed its datagrams at once.
 */
import type { DatagramRoute, SrtpKeys } from '../../transport/types.ts';
import type {
  FanoutEngine,
  GroupHandle,
  GroupOptions,
  PeerHandle,
  SinkCounters,
  SinkHandle,
  SinkMapping,
  SinkRules,
  WatchRoute,
} from '../fanout-engine.ts';
import { HandleTable } from '../handle-table.ts';
import { COPIED_COUNT, type SourcePacket } from '../source-packet.ts';
import type { StoredBatch } from '../stored-packets.ts';
import type { SendDatagram, SendingStats } from '../types.ts';
import type { Addon } from './addon.ts';
import { NativeCounters } from './native-counters.ts';
import type { Group, Peer, Sink } from './native-handles.ts';
import { PROFILES, sessionKeyBytes } from './native-keys.ts';
import { DESCRIPTOR_LENGTH, describePacket } from './packet-descriptor.ts';
import { SendLoop } from './send-loop.ts';
import type { SendMethods } from './send-methods.ts';

/** The addon asks for as much: the longest header, RTX, the longest payload and the tag. */
const MAX_OUTGOING_BYTES = 4096;
const NO_RTX = 255;
const NO_SOCKET = -1;
const NO_BYTES = Buffer.alloc(0);
const NO_IDS = new Uint8Array(COPIED_COUNT);
/** When a packet is held for the rest of its frame: the addon says how much longer when it is asked then. */
const HOLD_MS = 4;

export class NativeEngine implements FanoutEngine {
  readonly name = 'native';
  readonly #native: SendMethods;
  readonly #peers = new HandleTable<Peer>();
  readonly #sinks = new HandleTable<Sink>();
  readonly #groups = new HandleTable<Group>();
  readonly #descriptor = new Float64Array(DESCRIPTOR_LENGTH);
  readonly #counters: NativeCounters;
  readonly #loop: SendLoop;
  readonly #out = Buffer.alloc(MAX_OUTGOING_BYTES);
  readonly #handed = { packets: 0, bytes: 0, failed: 0 };

  constructor(addon: Addon) {
    const native = addon.create();
    this.#native = native;
    this.#counters = new NativeCounters(native);
    this.#loop = new SendLoop(() => native.flush());
  }

  /** Datagrams that still wait are not counted yet. */
  get counters(): FanoutEngine['counters'] {
    const { packets, bytes, failed } = this.#counters;
    const handed = this.#handed;
    return { packets: packets + handed.packets, bytes: bytes + handed.bytes, failed: failed + handed.failed };
  }

  get sending(): SendingStats {
    return this.#counters.sending;
  }

  get room(): number {
    return this.#counters.room;
  }

  openPeer(keys: SrtpKeys | null, send: SendDatagram, watchRoute?: WatchRoute): PeerHandle {
    const native =
      keys === null
        ? this.#native.openPeer(PROFILES.plain, NO_BYTES)
        : this.#native.openPeer(PROFILES[keys.profile], sessionKeyBytes(keys));
    const peer: Peer = { native, send, routed: false, open: true };
    watchRoute?.((route) => this.#route(peer, route));
    return this.#peers.add(peer);
  }

  /** Without a route at first, a peer stays with `send`; one that loses its route has lost its connection. */
  #route(peer: Peer, route: DatagramRoute | null): void {
    if (!peer.open || (route === null && !peer.routed)) return;
    peer.routed = true;
    if (route === null) this.#native.setRoute(peer.native, NO_SOCKET, NO_BYTES, 0, NO_BYTES);
    else this.#native.setRoute(peer.native, route.fd, route.address, route.port, Buffer.from(route.zone));
  }

  closePeer(handle: PeerHandle): void {
    const peer = this.#peers.get(handle);
    peer.open = false;
    this.#native.closePeer(peer.native);
    this.#peers.remove(handle);
  }

  openSink(peer: PeerHandle, rules: SinkRules): SinkHandle {
    const owner = this.#peers.get(peer);
    const native = this.#native.openSink(
      owner.native,
      rules.ssrc,
      rules.payloadType,
      rules.rtx?.ssrc ?? 0,
      rules.rtx?.payloadType ?? NO_RTX,
      rules.midId,
      Buffer.from(rules.mid, 'latin1'),
      rules.copiedIds,
    );
    const mapping = { fromSequence: 0, sequenceDelta: 0, timestampDelta: 0 };
    return this.#sinks.add({ native, peer: owner, hasRtx: rules.rtx !== null, group: null, mapping });
  }

  closeSink(sink: SinkHandle): void {
    this.leave(sink);
    this.#native.closeSink(this.#sinks.get(sink).native);
    this.#sinks.remove(sink);
  }

  openGroup(options?: GroupOptions): GroupHandle {
    const native = this.#native.openGroup(options?.sourceIds ?? NO_IDS, options?.framed === true ? 1 : 0);
    return this.#groups.add({ native, hasLog: false, handed: [] });
  }

  openLog(handle: GroupHandle, bytes: number): Buffer {
    const group = this.#groups.get(handle);
    group.hasLog = true;
    return Buffer.from(this.#native.openLog(group.native, bytes));
  }

  closeGroup(handle: GroupHandle): void {
    const group = this.#groups.get(handle);
    for (const sink of group.handed) sink.group = null;
    this.#native.closeGroup(group.native);
    this.#groups.remove(handle);
  }

  join(handle: GroupHandle, sink: SinkHandle, mapping: SinkMapping): void {
    this.leave(sink);
    const group = this.#groups.get(handle);
    const state = this.#sinks.get(sink);
    const { fromSequence, sequenceDelta, timestampDelta } = mapping;
    if (state.peer.routed) {
      this.#native.join(group.native, state.native, fromSequence, sequenceDelta, timestampDelta);
      return;
    }
    state.mapping = { fromSequence, sequenceDelta, timestampDelta };
    state.group = group;
    group.handed.push(state);
  }

  leave(sink: SinkHandle): void {
    const state = this.#sinks.get(sink);
    if (state.peer.routed) this.#native.leave(state.native);
    const sinks = state.group?.handed;
    if (sinks === undefined) return;
    const last = sinks.pop();
    if (last !== undefined && last !== state) sinks[sinks.indexOf(state)] = last;
    state.group = null;
  }

  fanout(handle: GroupHandle, packet: SourcePacket): void {
    const group = this.#groups.get(handle);
    if (this.#queue(group, packet) === 1) this.#loop.later(HOLD_MS);
    else this.#loop.soon();
    if (group.handed.length > 0) describePacket(packet, this.#descriptor);
    for (let i = 0; i < group.handed.length; i++) {
      const sink = group.handed[i] as Sink;
      const { fromSequence, sequenceDelta, timestampDelta } = sink.mapping;
      if (packet.sequence < fromSequence) continue;
      const timestamp = packet.header.timestamp + timestampDelta;
      this.#handOne(sink, packet, packet.sequence + sequenceDelta, timestamp);
    }
  }

  #queue(group: Group, packet: SourcePacket): number {
    if (packet.logStart >= 0 && group.hasLog) {
      return this.#native.fanoutStored(group.native, packet.logStart, packet.length, packet.sequence);
    }
    describePacket(packet, this.#descriptor);
    return this.#native.fanout(group.native, packet.bytes, this.#descriptor);
  }

  sendOne(handle: SinkHandle, packet: SourcePacket, extSequence: number, timestamp: number): void {
    const sink = this.#sinks.get(handle);
    describePacket(packet, this.#descriptor);
    if (!sink.peer.routed) {
      this.#handOne(sink, packet, extSequence, timestamp);
      return;
    }
    this.#native.sendOne(sink.native, packet.bytes, this.#descriptor, extSequence, timestamp);
    this.#loop.soon();
  }

  sendRtx(handle: SinkHandle, packet: SourcePacket, extSequence: number, timestamp: number): void {
    const sink = this.#sinks.get(handle);
    if (!sink.hasRtx) return;
    describePacket(packet, this.#descriptor);
    const { bytes } = packet;
    if (sink.peer.routed) {
      this.#native.sendRtx(sink.native, bytes, this.#descriptor, extSequence, timestamp);
      this.#loop.soon();
    } else {
      const length = this.#native.sendRtx(sink.native, bytes, this.#descriptor, extSequence, timestamp, this.#out);
      this.#hand(sink.peer, this.#out.subarray(0, length));
    }
  }

  sendStored(handle: SinkHandle, group: GroupHandle, batch: StoredBatch, byRtx: boolean): void {
    const { native, peer, hasRtx } = this.#sinks.get(handle);
    if (byRtx && !hasRtx) return;
    const from = this.#groups.get(group).native;
    const { rows, count } = batch;
    const rtx = byRtx ? 1 : 0;
    if (peer.routed) {
      this.#native.sendStored(native, from, rows, 0, count, rtx);
      this.#loop.soon();
      return;
    }
    for (let i = 0; i < count; i++) {
      const length = this.#native.sendStored(native, from, rows, i, i + 1, rtx, this.#out);
      this.#hand(peer, this.#out.subarray(0, length));
    }
  }

  sendRtcp(handle: PeerHandle, buffer: Buffer, length: number): void {
    const peer = this.#peers.get(handle);
    if (peer.routed) {
      this.#native.sendRtcp(peer.native, buffer, length);
      this.#loop.soon();
    } else {
      this.#hand(peer, buffer.subarray(0, this.#native.sendRtcp(peer.native, buffer, length, true)));
    }
  }

  sinkCounters(sink: SinkHandle, into: SinkCounters): void {
    this.#counters.sink(this.#sinks.get(sink).native, into);
  }

  #handOne(sink: Sink, packet: SourcePacket, extSequence: number, timestamp: number): void {
    const { native, peer } = sink;
    const length = this.#native.sendOne(native, packet.bytes, this.#descriptor, extSequence, timestamp, this.#out);
    this.#hand(peer, this.#out.subarray(0, length));
  }

  /** A way out that fails must not cost the other viewers their packet. */
  #hand(peer: Peer, datagram: Buffer): void {
    try {
      peer.send(datagram);
      this.#handed.packets++;
      this.#handed.bytes += datagram.length;
    } catch {
      this.#handed.failed++;
    }
  }
}
