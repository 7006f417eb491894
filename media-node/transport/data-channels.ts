/**
 * Data channels (RFC 8831) and their establishment protocol (DCEP, RFC 8832) on an SCTP association. What a peer can make
 * us keep or do is bounded: channels, message length, messages per time, bytes that wait to be sent.
 */
import { ACK, type ChannelNames, isAck, MAX_NAME_BYTES, readOpen, writeOpen } from './dcep.ts';
import { SctpAssociation } from './sctp-association.ts';
import type { DataChannel, DataChannels, DataChannelsOptions } from './types.ts';

/**
 * Our `a=max-message-size`. Longer messages are ignored; the channel stays open. The answer to an offer has 0.8 kB for each
 * track that a member receives, and libwebrtc closes a channel on which it cannot send: 64 kB would end lobbies of forty.
 */
export const MAX_MESSAGE_BYTES = 256 * 1024;
/** Open at a time, whoever opened them; more are reset at once. */
export const MAX_CHANNELS = 16;
/** Not acknowledged by the peer, all channels together; what comes on top is refused. */
export const MAX_BUFFERED_BYTES = 1024 * 1024;
/** Messages of a peer per second in the long run, and at once; others are dropped. */
const MESSAGES_PER_SECOND = 200;
const MESSAGE_BURST = 200;

const PROTOCOL = { dcep: 50, text: 51, binary: 53, emptyText: 56, emptyBinary: 57 } as const;
/** SCTP has no empty messages (RFC 8831 §6.6). */
const EMPTY = Buffer.alloc(1);
const MAX_STREAM = 65_534;

class Channel implements DataChannel {
  readonly label: string;
  readonly protocol: string;
  readonly ordered: boolean;
  readonly stream: number;
  state: 'connecting' | 'open' | 'closed';
  onOpen: DataChannel['onOpen'] = null;
  onMessage: DataChannel['onMessage'] = null;
  onClose: DataChannel['onClose'] = null;
  readonly #owner: AssociationChannels;

  constructor(owner: AssociationChannels, stream: number, state: 'connecting' | 'open', names: ChannelNames) {
    this.#owner = owner;
    this.stream = stream;
    this.state = state;
    this.label = names.label;
    this.protocol = names.protocol;
    this.ordered = names.ordered;
  }

  get open(): boolean {
    return this.state === 'open';
  }

  get bufferedBytes(): number {
    return this.#owner.bufferedBytes(this);
  }

  send(data: Uint8Array): boolean {
    return this.#owner.send(this, data);
  }

  sendText(text: string): boolean {
    return this.#owner.send(this, Buffer.from(text), true);
  }

  close(): void {
    this.#owner.closeChannel(this);
  }
}

/** What the transport lends. */
export interface ChannelCarrier {
  /** Our DTLS role: the client's channels have even numbers (RFC 8832 §6). */
  dtlsRole(): 'client' | 'server';
  /** One SCTP packet as DTLS application data. */
  send(packet: Buffer): void;
  now(): number;
}

export class AssociationChannels implements DataChannels {
  readonly #association: SctpAssociation;
  readonly #carrier: ChannelCarrier;
  readonly #maxMessageBytes: number;
  readonly #events: DataChannelsOptions['events'];
  readonly #byStream = new Map<number, Channel>();
  /** Waits for the association; DCEP and messages in their order. */
  #early: { stream: number; protocol: number; data: Buffer }[] = [];
  #earlyBytes = 0;
  #allowance = MESSAGE_BURST;
  #allowedAtMs: number;
  #refused = 0;
  #closed = false;

  constructor(options: DataChannelsOptions, carrier: ChannelCarrier) {
    this.#carrier = carrier;
    this.#events = options.events;
    this.#maxMessageBytes = options.maxMessageBytes;
    this.#allowedAtMs = carrier.now();
    this.#association = new SctpAssociation({
      remotePort: options.remotePort,
      maxMessageBytes: MAX_MESSAGE_BYTES,
      events: {
        send: (packet) => carrier.send(packet),
        established: () => this.#flushEarly(),
        message: (stream, protocol, data) => this.#receive(stream, protocol, data),
        streamsReset: (streams) => this.#receiveReset(streams),
        ended: () => this.end(),
      },
    });
  }

  get channels(): readonly DataChannel[] {
    return [...this.#byStream.values()];
  }

  get dropped(): number {
    return this.#refused + this.#association.swallowed + this.#association.malformed;
  }

  /** Bytes kept of what the peer sent. */
  get heldBytes(): number {
    return this.#association.heldBytes;
  }

  open(label: string): DataChannel | null {
    const isLong = Buffer.byteLength(label) > MAX_NAME_BYTES;
    if (this.#closed || this.#byStream.size >= MAX_CHANNELS || isLong) return null;
    let stream = this.#carrier.dtlsRole() === 'client' ? 0 : 1;
    while (this.#byStream.has(stream) && stream < MAX_STREAM) stream += 2;
    const channel = new Channel(this, stream, 'connecting', { label, protocol: '', ordered: true });
    this.#byStream.set(stream, channel);
    this.#send(stream, PROTOCOL.dcep, writeOpen(label), true);
    return channel;
  }

  /** One DTLS record of application data. */
  receive(packet: Buffer, nowMs: number): void {
    this.#association.receive(packet, nowMs);
  }

  /** When `tick` has something to do. */
  get nextTickMs(): number {
    return this.#association.nextTickMs;
  }

  tick(nowMs: number): void {
    this.#association.tick(nowMs);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#association.close();
    for (const channel of this.#byStream.values()) channel.state = 'closed';
    this.#byStream.clear();
    this.#early = [];
  }

  /** The transport or the association is gone: all channels close, and their holders hear of it. Idempotent. */
  end(): void {
    if (this.#closed) return;
    const channels = [...this.#byStream.values()];
    this.close();
    for (const channel of channels) channel.onClose?.();
  }

  bufferedBytes({ stream }: Channel): number {
    let bytes = this.#association.bufferedBytes(stream);
    for (const message of this.#early) if (message.stream === stream) bytes += message.data.length;
    return bytes;
  }

  send(channel: Channel, data: Uint8Array, isText = false): boolean {
    if (channel.state === 'closed' || data.length > this.#maxMessageBytes) return false;
    if (this.#earlyBytes + this.#association.bufferedBytes() + data.length > MAX_BUFFERED_BYTES) return false;
    const protocol = protocolOf(data.length === 0, isText);
    // Before the ACK it must be ordered, so that it cannot overtake the OPEN (RFC 8832 §6).
    this.#send(
      channel.stream,
      protocol,
      data.length === 0 ? EMPTY : Buffer.from(data),
      channel.ordered || !channel.open,
    );
    return true;
  }

  closeChannel(channel: Channel): void {
    if (channel.state === 'closed') return;
    channel.state = 'closed';
    this.#byStream.delete(channel.stream);
    this.#resetStream(channel.stream);
  }

  #send(stream: number, protocol: number, data: Buffer, ordered: boolean): void {
    if (this.#association.established) {
      this.#association.send(stream, protocol, data, ordered, this.#carrier.now());
      return;
    }
    this.#earlyBytes += data.length;
    this.#early.push({ stream, protocol, data });
  }

  #flushEarly(): void {
    const early = this.#early;
    this.#early = [];
    this.#earlyBytes = 0;
    for (const { stream, protocol, data } of early) this.#send(stream, protocol, data, true);
  }

  #resetStream(stream: number): void {
    this.#early = this.#early.filter((message) => message.stream !== stream);
    this.#earlyBytes = this.#early.reduce((sum, { data }) => sum + data.length, 0);
    this.#association.resetStream(stream, this.#carrier.now());
  }

  #receive(stream: number, protocol: number, data: Buffer): void {
    if (!this.#mayReceive()) {
      this.#refused += 1;
      return;
    }
    if (protocol === PROTOCOL.dcep) {
      this.#receiveDcep(stream, data);
      return;
    }
    const channel = this.#byStream.get(stream);
    const isBinary = protocol === PROTOCOL.binary || protocol === PROTOCOL.emptyBinary;
    const isText = protocol === PROTOCOL.text || protocol === PROTOCOL.emptyText;
    if (channel === undefined || !(isBinary || isText)) {
      this.#refused += 1;
      return;
    }
    // Data on a channel of ours acknowledges it as the ACK would (RFC 8832 §6).
    this.#opened(channel);
    const isEmpty = protocol === PROTOCOL.emptyBinary || protocol === PROTOCOL.emptyText;
    channel.onMessage?.(isEmpty ? data.subarray(0, 0) : data, isBinary);
  }

  #mayReceive(): boolean {
    const nowMs = this.#carrier.now();
    const earned = ((nowMs - this.#allowedAtMs) * MESSAGES_PER_SECOND) / 1000;
    this.#allowance = Math.min(MESSAGE_BURST, this.#allowance + earned);
    this.#allowedAtMs = nowMs;
    if (this.#allowance < 1) return false;
    this.#allowance -= 1;
    return true;
  }

  #opened(channel: Channel): void {
    if (channel.state !== 'connecting') return;
    channel.state = 'open';
    channel.onOpen?.();
  }

  #receiveDcep(stream: number, data: Buffer): void {
    const known = this.#byStream.get(stream);
    if (isAck(data) && known !== undefined) {
      this.#opened(known);
      return;
    }
    const names = known === undefined && stream <= MAX_STREAM ? readOpen(data) : null;
    if (names === null) {
      this.#refused += 1;
      return;
    }
    if (this.#byStream.size >= MAX_CHANNELS) {
      this.#refused += 1;
      this.#resetStream(stream);
      return;
    }
    const channel = new Channel(this, stream, 'open', names);
    this.#byStream.set(stream, channel);
    this.#send(stream, PROTOCOL.dcep, ACK, true);
    this.#events.onChannel(channel);
  }

  /** The peer closed its side, so ours closes, too (RFC 8831 §6.7). */
  #receiveReset(streams: readonly number[]): void {
    for (const stream of streams) {
      const channel = this.#byStream.get(stream);
      if (channel === undefined) continue;
      channel.state = 'closed';
      this.#byStream.delete(stream);
      this.#resetStream(stream);
      channel.onClose?.();
    }
  }
}

function protocolOf(isEmpty: boolean, isText: boolean): number {
  if (isText) return isEmpty ? PROTOCOL.emptyText : PROTOCOL.text;
  return isEmpty ? PROTOCOL.emptyBinary : PROTOCOL.binary;
}
