/** The sending half of the addon: peers, sinks and groups as `FanoutEngine` has them, by handles of its own. */

/** One engine. Methods throw TypeError or RangeError for arguments that make no sense. */
export interface SendMethods {
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
