/** The fan-out that runs everywhere: TypeScript, node:crypto, and WebAssembly that it writes itself. */
import type { SrtpKeys } from '../transport/types.ts';
import { EgressHeader } from './egress-header.ts';
import type {
  FanoutEngine,
  GroupHandle,
  GroupOptions,
  PeerHandle,
  SinkCounters,
  SinkHandle,
  SinkMapping,
  SinkRules,
} from './fanout-engine.ts';
import { HandleTable } from './handle-table.ts';
import { PlainSender } from './plain-sender.ts';
import { rolloverOf } from './sequence.ts';
import type { SourcePacket } from './source-packet.ts';
import { PacketWorkbench } from './srtp/packet-workbench.ts';
import { MAX_PAYLOAD_BYTES } from './srtp/packet-workbench-code.ts';
import { deriveSessionKeys } from './srtp/session-keys.ts';
import { SrtpSender } from './srtp/srtp-sender.ts';
import { type SrtpStream, SrtpStreams } from './srtp/srtp-stream.ts';
import { GroupLogs, type StoredBatch } from './stored-packets.ts';
import type { SendDatagram } from './types.ts';

const RTX_HEADER_BYTES = 2;

interface Peer {
  readonly srtp: SrtpSender | PlainSender;
  /** Null without keys. */
  readonly streams: SrtpStreams | null;
  readonly send: SendDatagram;
}

interface Sink {
  readonly peer: Peer;
  readonly rules: SinkRules;
  readonly header: EgressHeader;
  /** Of its primary SSRC; null without keys. */
  readonly stream: SrtpStream | null;
  group: Sink[] | null;
  fromSequence: number;
  sequenceDelta: number;
  timestampDelta: number;
  packets: number;
  bytes: number;
  /** Extended. */
  rtxSequence: number;
}

export class PortableEngine implements FanoutEngine {
  readonly name = 'portable';
  readonly sending = null;
  readonly room = Number.POSITIVE_INFINITY;
  readonly counters = { packets: 0, bytes: 0, failed: 0 };
  readonly #peers = new HandleTable<Peer>();
  readonly #sinks = new HandleTable<Sink>();
  readonly #groups = new HandleTable<Sink[]>();
  readonly #logs = new GroupLogs();
  readonly #workbench = new PacketWorkbench();
  /** Every packet leaves from here. */
  readonly #out = this.#workbench.out;
  /** Views of `#out` by length: a view costs more to make than to keep. */
  readonly #views: Buffer[] = [];
  readonly #rtxPayload = Buffer.alloc(RTX_HEADER_BYTES + MAX_PAYLOAD_BYTES);

  openPeer(keys: SrtpKeys | null, send: SendDatagram): PeerHandle {
    if (keys === null) return this.#peers.add({ srtp: new PlainSender(), streams: null, send });
    const session = deriveSessionKeys(keys.profile, keys.localKey, keys.localSalt);
    return this.#peers.add({ srtp: new SrtpSender(session), streams: new SrtpStreams(session, this.#workbench), send });
  }

  closePeer(peer: PeerHandle): void {
    this.#peers.remove(peer);
  }

  openSink(peer: PeerHandle, rules: SinkRules): SinkHandle {
    const owner = this.#peers.get(peer);
    return this.#sinks.add({
      peer: owner,
      rules,
      header: new EgressHeader(rules),
      stream: owner.streams?.open(rules.ssrc) ?? null,
      group: null,
      fromSequence: 0,
      sequenceDelta: 0,
      timestampDelta: 0,
      packets: 0,
      bytes: 0,
      rtxSequence: 0,
    });
  }

  closeSink(sink: SinkHandle): void {
    this.leave(sink);
    this.#sinks.remove(sink);
  }

  openGroup(options?: GroupOptions): GroupHandle {
    const group = this.#groups.add([]);
    this.#logs.open(group, options);
    return group;
  }

  openLog(group: GroupHandle, bytes: number): Buffer {
    return this.#logs.openLog(group, bytes);
  }

  closeGroup(group: GroupHandle): void {
    for (const sink of this.#groups.get(group)) sink.group = null;
    this.#groups.remove(group);
    this.#logs.close(group);
  }

  join(group: GroupHandle, sink: SinkHandle, mapping: SinkMapping): void {
    this.leave(sink);
    const state = this.#sinks.get(sink);
    state.fromSequence = mapping.fromSequence;
    state.sequenceDelta = mapping.sequenceDelta;
    state.timestampDelta = mapping.timestampDelta;
    state.group = this.#groups.get(group);
    state.group.push(state);
  }

  leave(sink: SinkHandle): void {
    const state = this.#sinks.get(sink);
    if (state.group === null) return;
    const last = state.group.pop();
    if (last !== undefined && last !== state) state.group[state.group.indexOf(state)] = last;
    state.group = null;
  }

  fanout(group: GroupHandle, packet: SourcePacket): void {
    const sinks = this.#groups.get(group);
    this.#workbench.load(packet.payload);
    const sequence = packet.sequence;
    const timestamp = packet.header.timestamp;
    for (let i = 0; i < sinks.length; i++) {
      const sink = sinks[i] as Sink;
      if (sequence < sink.fromSequence) continue;
      this.#emit(sink, packet, sequence + sink.sequenceDelta, timestamp + sink.timestampDelta);
    }
  }

  sendOne(sink: SinkHandle, packet: SourcePacket, extSequence: number, timestamp: number): void {
    this.#workbench.load(packet.payload);
    this.#emit(this.#sinks.get(sink), packet, extSequence, timestamp);
  }

  /** `packet.payload` is on the workbench. */
  #emit(sink: Sink, packet: SourcePacket, extSequence: number, timestamp: number): void {
    const { rules, peer } = sink;
    const header = sink.header.write(this.#out, packet, rules.ssrc, rules.payloadType, extSequence, timestamp);
    const length =
      sink.stream === null
        ? peer.srtp.protectRtp(this.#out, header, packet.payload, rolloverOf(extSequence))
        : sink.stream.protect(header, extSequence);
    sink.packets++;
    sink.bytes += packet.paddingOnly ? 0 : packet.payload.length;
    this.#send(peer, this.#view(length));
  }

  sendRtx(sink: SinkHandle, packet: SourcePacket, extSequence: number, timestamp: number): void {
    const state = this.#sinks.get(sink);
    const { rtx } = state.rules;
    if (rtx === null) return;
    const sequence = ++state.rtxSequence;
    const header = state.header.write(this.#out, packet, rtx.ssrc, rtx.payloadType, sequence, timestamp);
    // RFC 4588 §4: the original sequence number, then the original payload.
    this.#rtxPayload.writeUInt16BE(extSequence % 0x10000, 0);
    const length = RTX_HEADER_BYTES + packet.payload.copy(this.#rtxPayload, RTX_HEADER_BYTES);
    const payload = this.#rtxPayload.subarray(0, length);
    const total = state.peer.srtp.protectRtp(this.#out, header, payload, rolloverOf(sequence));
    this.#send(state.peer, this.#view(total));
  }

  sendStored(sink: SinkHandle, group: GroupHandle, batch: StoredBatch, byRtx: boolean): void {
    for (let i = 0; i < batch.count; i++) {
      const packet = this.#logs.read(group, batch, i);
      if (byRtx) this.sendRtx(sink, packet, batch.sequence(i), batch.timestamp(i));
      else this.sendOne(sink, packet, batch.sequence(i), batch.timestamp(i));
    }
  }

  sendRtcp(peer: PeerHandle, buffer: Buffer, length: number): void {
    const { srtp } = this.#peers.get(peer);
    this.#send(this.#peers.get(peer), buffer.subarray(0, srtp.protectRtcp(buffer, length)));
  }

  sinkCounters(sink: SinkHandle, into: SinkCounters): void {
    const { packets, bytes } = this.#sinks.get(sink);
    into.packets = packets;
    into.bytes = bytes;
  }

  #view(length: number): Buffer {
    this.#views[length] ??= this.#out.subarray(0, length);
    return this.#views[length] as Buffer;
  }

  /** A way out that fails (a socket that closes) must not cost the other viewers their packet. */
  #send(peer: Peer, datagram: Buffer): void {
    try {
      peer.send(datagram);
      this.counters.packets++;
      this.counters.bytes += datagram.length;
    } catch {
      this.counters.failed++;
    }
  }
}
