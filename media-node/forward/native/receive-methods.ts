/** The receiving half of the addon: sockets that are read in batches, and the keys of what comes. */

/** Datagrams of a batch; one slot of the slab each. */
export const SLOTS = 64;
/** Longer datagrams are dropped and counted: they do not come over a path with an MTU of 1500. */
export const SLOT_BYTES = 2048;

/** What a batch tells of each datagram, in this order. */
export const COLUMN = {
  /** Of what lies in the slot now: the datagram, or the plaintext packet; 0 for one that did not fit. */
  length: 0,
  kind: 1,
  /** Of the claim of the sender's address; `UNCLAIMED`. */
  number: 2,
  /** Raw: the sender's port. Opened RTP: the extended sequence number. */
  index: 3,
  /** As it came over the network. */
  wireLength: 4,
} as const;
export const COLUMNS = 5;

export const KIND = {
  /** As it came: not media, or media of a sender without an opener. */
  raw: 0,
  rtp: 1,
  rtcp: 2,
  /** Media that is forged, replayed or malformed; what lies in the slot is of no use. */
  refused: 3,
} as const;

export const UNCLAIMED = -1;
export const NO_OPENER = -1;

/** What `socketState` writes, in this order. */
export const STATE = {
  port: 0,
  fd: 1,
  receiveBufferBytes: 2,
  sendBufferBytes: 3,
  /** Datagrams that the kernel dropped because the receive buffer was full. */
  overflowed: 4,
  receiveCalls: 5,
  datagrams: 6,
  tooLong: 7,
  claims: 8,
} as const;
export const STATES = 9;

/**
 * One receiver: its sockets share a slab and the openers. Methods throw TypeError or RangeError for arguments that make
 * no sense. Addresses are text, an IPv6 zone included.
 */
export interface ReceiveMethods {
  /**
   * Once, before the first socket. The batch is valid until `onBatch` returns.
   * @param slab `SLOTS * SLOT_BYTES` bytes
   * @param columns `SLOTS * COLUMNS` numbers
   */
  start(slab: Uint8Array, columns: Float64Array, onBatch: (socket: number, count: number) => void): void;
  /** Closes all sockets and lets go of what `start` was given. */
  end(): void;
  /** A socket, bound to exactly this address (IPv6 only, if it is one); or minus the errno of the kernel. */
  openSocket(address: string, port: number, receiveBufferBytes: number, sendBufferBytes: number): number;
  closeSocket(socket: number): void;
  socketState(socket: number, into: Float64Array): void;
  /** Sends at once; 0 or an errno. */
  send(socket: number, datagram: Uint8Array, address: string, port: number): number;
  /** Writes the address of the sender of the datagram in `slot` of the present batch; its length. */
  senderOf(socket: number, slot: number, into: Uint8Array): number;
  /** Names an address, which whoever claimed it before loses; media from there is opened by `opener` (−1: not at all). */
  claim(socket: number, address: string, port: number, opener: number): number;
  setOpener(socket: number, claim: number, opener: number): void;
  release(socket: number, claim: number): void;
  /**
   * @param profile 1: AEAD_AES_128_GCM, 2: AES_CM_128_HMAC_SHA1_80
   * @param keys session keys for RTP, then for RTCP: cipher key, salt, authentication key (AES-CM only)
   */
  openOpener(profile: number, keys: Uint8Array): number;
  /** Nothing may be claimed with it any more. */
  closeOpener(opener: number): void;
  /** Opens one SRTP or SRTCP datagram where it lies, and writes its columns. */
  openMedia(opener: number, datagram: Uint8Array, length: number, into: Float64Array): void;
  /** SSRCs of RTP that are remembered. */
  ssrcCount(opener: number): number;
}
