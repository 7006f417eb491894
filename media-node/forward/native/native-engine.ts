/**
 * The fan-out in the addon: rewriting, protection and the system calls of a packet for all its viewers happen in one
 * call. Datagrams wait for the end of the event loop's turn, so that what arrived together leaves together; a peer
 * without a route of its own (a tap, a test) is handed its datagrams at once.
 */
import type { DatagramRoute, SrtpKeys } from '../../transport/types.ts';
import type {
  FanoutEngine,
  GroupHandle,
  PeerHandle,
  SinkCounters,
  SinkHandle,
  SinkMapping,
  SinkRules,
  WatchRoute,
} from '../fanout-engine.ts';
import { HandleTable } from '../handle-table.ts';
import type { SourcePacket } from '../source-packet.ts';
import { deriveSessionKeys, type PacketKeys } from '../srtp/session-keys.ts';
import type { SendDatagram } from '../types.ts';
import type { Addon, NativeMethods } from './addon.ts';
import { DESCRIPTOR_LENGTH, describePacket } from './packet-descriptor.ts';

/** The addon asks for as much: the longest header, RTX, the longest payload and the tag. */
const MAX_OUTGOING_BYTES = 4096;
const PROFILES = { AEAD_AES_128_GCM: 1, AES_CM_128_HMAC_SHA1_80: 2 } as const;
const PLAIN = 0;
const NO_RTX = 255;
const NO_SOCKET = -1;
const NO_BYTES = Buffer.alloc(0);
const COUNTERS = 6;

interface Peer {
  readonly native: number;
  readonly send: SendDatagram;
  /** Whether the addon sends by itself; decided when the peer is opened. */
  routed: boolean;
  open: boolean;
}

interface Sink {
  readonly native: number;
  readonly peer: Peer;
  readonly hasRtx: boolean;
  /** Only of a sink whose peer has no route: the addon knows the others. */
  group: Group | null;
  mapping: SinkMapping;
}

interface Group {
  readonly native: number;
  /** Sinks whose datagrams go through JavaScript. */
  readonly handed: Sink[];
}

export class NativeEngine implements FanoutEngine {
  readonly name = 'native';
  readonly #native: NativeMethods;
  readonly #peers = new HandleTable<Peer>();
  readonly #sinks = new HandleTable<Sink>();
  readonly #groups = new HandleTable<Group>();
  readonly #descriptor = new Float64Array(DESCRIPTOR_LENGTH);
  readonly #sinkCounters = new Float64Array(2);
  readonly #nativeCounters = new Float64Array(COUNTERS);
  readonly #out = Buffer.alloc(MAX_OUTGOING_BYTES);
  readonly #handed = { packets: 0, bytes: 0, failed: 0 };
  readonly #flush = (): void => {
    this.#flushing = false;
    this.#native.flush();
  };
  #flushing = false;

  constructor(addon: Addon) {
    this.#native = addon.create();
  }

  /** Datagrams that still wait are not counted yet. */
  get counters(): FanoutEngine['counters'] {
    this.#native.counters(this.#nativeCounters);
    const [packets = 0, bytes = 0, failed = 0] = this.#nativeCounters;
    const handed = this.#handed;
    return { packets: packets + handed.packets, bytes: bytes + handed.bytes, failed: failed + handed.failed };
  }

  /** How the datagrams left: system calls, datagrams in messages that the kernel cut, waits for a full socket. */
  get sending(): { systemCalls: number; segmented: number; waits: number } {
    this.#native.counters(this.#nativeCounters);
    const [, , , systemCalls = 0, segmented = 0, waits = 0] = this.#nativeCounters;
    return { systemCalls, segmented, waits };
  }

  openPeer(keys: SrtpKeys | null, send: SendDatagram, watchRoute?: WatchRoute): PeerHandle {
    const native =
      keys === null
        ? this.#native.openPeer(PLAIN, NO_BYTES)
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

  openGroup(): GroupHandle {
    return this.#groups.add({ native: this.#native.openGroup(), handed: [] });
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
    describePacket(packet, this.#descriptor);
    this.#native.fanout(group.native, packet.bytes, this.#descriptor);
    this.#flushSoon();
    for (let i = 0; i < group.handed.length; i++) {
      const sink = group.handed[i] as Sink;
      const { fromSequence, sequenceDelta, timestampDelta } = sink.mapping;
      if (packet.sequence < fromSequence) continue;
      const timestamp = packet.header.timestamp + timestampDelta;
      this.#handOne(sink, packet, packet.sequence + sequenceDelta, timestamp);
    }
  }

  sendOne(handle: SinkHandle, packet: SourcePacket, extSequence: number, timestamp: number): void {
    const sink = this.#sinks.get(handle);
    describePacket(packet, this.#descriptor);
    if (!sink.peer.routed) {
      this.#handOne(sink, packet, extSequence, timestamp);
      return;
    }
    this.#native.sendOne(sink.native, packet.bytes, this.#descriptor, extSequence, timestamp);
    this.#flushSoon();
  }

  sendRtx(handle: SinkHandle, packet: SourcePacket, extSequence: number, timestamp: number): void {
    const sink = this.#sinks.get(handle);
    if (!sink.hasRtx) return;
    describePacket(packet, this.#descriptor);
    const { bytes } = packet;
    if (sink.peer.routed) {
      this.#native.sendRtx(sink.native, bytes, this.#descriptor, extSequence, timestamp);
      this.#flushSoon();
    } else {
      const length = this.#native.sendRtx(sink.native, bytes, this.#descriptor, extSequence, timestamp, this.#out);
      this.#hand(sink.peer, this.#out.subarray(0, length));
    }
  }

  sendRtcp(handle: PeerHandle, buffer: Buffer, length: number): void {
    const peer = this.#peers.get(handle);
    if (peer.routed) {
      this.#native.sendRtcp(peer.native, buffer, length);
      this.#flushSoon();
    } else {
      this.#hand(peer, buffer.subarray(0, this.#native.sendRtcp(peer.native, buffer, length, true)));
    }
  }

  sinkCounters(sink: SinkHandle, into: SinkCounters): void {
    this.#native.sinkCounters(this.#sinks.get(sink).native, this.#sinkCounters);
    into.packets = this.#sinkCounters[0] as number;
    into.bytes = this.#sinkCounters[1] as number;
  }

  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    setImmediate(this.#flush);
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

/** Session keys as the addon wants them: RTP, then RTCP; cipher key, salt, authentication key (AES-CM only). */
function sessionKeyBytes(keys: SrtpKeys): Buffer {
  const { rtp, rtcp } = deriveSessionKeys(keys.profile, keys.localKey, keys.localSalt);
  const bytes = ({ cipherKey, salt, authKey }: PacketKeys): Buffer[] => [
    cipherKey.export(),
    salt,
    ...(authKey === null ? [] : [authKey.export()]),
  ];
  return Buffer.concat([...bytes(rtp), ...bytes(rtcp)]);
}
