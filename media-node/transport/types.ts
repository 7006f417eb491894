/**
 * The seam between transports (ICE, DTLS: sockets and keys) and media (RTP, RTCP: packets). A `PeerTransport` is one
 * ICE/DTLS association on the shared socket; it classifies datagrams (RFC 7983) and hands RTP and RTCP on as they came
 * in, still protected.
 */
import type { Fingerprint, IceCredentials, LocalCandidate } from '../negotiate/plan.ts';

export type SrtpProfile = 'AEAD_AES_128_GCM' | 'AES_CM_128_HMAC_SHA1_80';

/** Master keys and salts from the DTLS exporter (RFC 5764 §4.2), already sorted into what we write and what we read. */
export interface SrtpKeys {
  profile: SrtpProfile;
  /** 16 bytes */
  localKey: Buffer;
  /** 12 bytes for GCM, 14 for AES-CM */
  localSalt: Buffer;
  remoteKey: Buffer;
  remoteSalt: Buffer;
}

/** Session keys of what a peer sends (RFC 3711 §4.3). One key has one owner: who gives them away opens nothing by them. */
export interface InboundKeys {
  profile: SrtpProfile;
  /** For RTP, then for RTCP: cipher key, salt, authentication key (AES-CM only). */
  bytes: Buffer;
}

/**
 * Called with media that the sockets have checked and opened: a plaintext packet in the first `length` bytes of `packet`,
 * which is only valid during the call.
 * @param index extended sequence number of RTP, `INBOUND_RTCP`, or `INBOUND_REFUSED`: forged, replayed or malformed
 * @param wireBytes of the datagram that it came in
 */
export type InboundListener = (packet: Buffer, length: number, index: number, wireBytes: number, nowMs: number) => void;
export const INBOUND_RTCP = -1;
export const INBOUND_REFUSED = -2;

/** Why a transport ended, when it was not we who closed it. */
export type TransportEnd =
  | 'never-connected' // no ICE+DTLS within the set-up time
  | 'dtls-failed' // handshake error or fingerprint mismatch
  | 'peer-closed' // DTLS close_notify from the peer
  | 'silence'; // nothing authenticated from the peer for the expiry time

export interface PeerTransportEvents {
  /** DTLS is up, and the peer has shown where it is. Media may flow from now on. */
  onConnected(keys: SrtpKeys): void;
  /** A datagram in the SRTP range from the nominated address (or one the peer proved by STUN). The buffer is only valid during the call. */
  onMedia(datagram: Buffer, nowMs: number): void;
  /** Connected, but nothing authenticated came for `silenceMs` (true), or something came again (false). */
  onSilence(silent: boolean): void;
  onEnded(reason: TransportEnd): void;
}

export interface PeerTransportOptions {
  local: IceCredentials;
  /** Null while our own offer is unanswered. */
  remote: { ice: IceCredentials; fingerprints: readonly Fingerprint[]; dtlsRole: 'server' | 'client' } | null;
  events: PeerTransportEvents;
  /** Give up when not connected in this time. Never below the PAC timer of RFC 8863 (39.5 s) for clients without candidates. */
  connectTimeoutMs: number;
  /** `onSilence(true)` after this much silence. */
  silenceMs: number;
  /** `onEnded('silence')` after this much silence. */
  expiryMs: number;
}

/** A candidate of a peer that we dial. */
export interface DialledCandidate {
  /** An IP address, without a zone; others are not tried. */
  readonly address: string;
  readonly port: number;
}

/** A transport that we dial, from a UDP port of its own, ICE controlling towards a lite agent. */
export interface DialOptions extends PeerTransportOptions {
  remote: NonNullable<PeerTransportOptions['remote']>;
  /** The peer's, in order of preference. All are tried. */
  candidates: readonly DialledCandidate[];
}

/** One data channel (RFC 8831). The callbacks are set by whoever holds the channel; null: nobody listens. */
export interface DataChannel {
  readonly label: string;
  readonly protocol: string;
  readonly ordered: boolean;
  /** From their OPEN or the acknowledgement of ours until the end. */
  readonly open: boolean;
  /** Bytes given to `send` that the peer has not acknowledged. */
  readonly bufferedBytes: number;
  /**
   * Sends one binary message. False when it was not taken: the channel is closed, the message is longer than the peer
   * accepts, or `MAX_BUFFERED_BYTES` are waiting. Before `open` messages wait.
   */
  send(data: Uint8Array): boolean;
  /** Likewise, a text message. */
  sendText(text: string): boolean;
  onOpen: (() => void) | null;
  /** A whole message; the buffer is the receiver's to keep. */
  onMessage: ((data: Buffer, isBinary: boolean) => void) | null;
  /** Closed by the peer, with the association, or with the transport; not after an own `close`. */
  onClose: (() => void) | null;
  /** Idempotent. */
  close(): void;
}

export interface DataChannelsOptions {
  /** The peer's `a=sctp-port`. */
  remotePort: number;
  /** Longest message that the peer takes (`a=max-message-size`). */
  maxMessageBytes: number;
  events: {
    /** The peer opened a channel; set its callbacks before returning. */
    onChannel(channel: DataChannel): void;
  };
}

/** The data channels of one transport: one SCTP association over its DTLS. */
export interface DataChannels {
  /** Opens a reliable, ordered channel; it opens when the peer acknowledges. Null: there are `MAX_CHANNELS` already. */
  open(label: string): DataChannel | null;
  readonly channels: readonly DataChannel[];
  /** Messages and packets of the peer that were dropped: malformed, too long, too many. */
  readonly dropped: number;
  /** Ends the association (ABORT) and all channels. Idempotent; closing the transport does it too. */
  close(): void;
}

export interface PeerTransport {
  /** Sets the remote side once the answer to our offer is there. */
  setRemote(remote: NonNullable<PeerTransportOptions['remote']>): void;
  /** New ICE credentials on both sides (RFC 9725 §4.3.3): the old pair carries media until the new one is nominated. DTLS and keys stay. */
  restartIce(local: IceCredentials, remote: IceCredentials): void;
  /**
   * Sends one protected datagram to where the peer nominated, or shook hands, once it has shown that it is there; dropped
   * before. The buffer may be reused after the call returns.
   */
  send(datagram: Buffer): void;
  /**
   * Tells `listener` at once, and whenever ICE moves the peer, where `send` sends to; null when it drops everything (no
   * pair yet, or closed), or when the socket has no descriptor. One listener at a time.
   */
  watchRoute(listener: (route: DatagramRoute | null) => void): void;
  /**
   * From `onConnected` on, once: lets the sockets check and open the peer's media, in batches. True: they do, the keys are
   * theirs, and media goes to `listener` instead of `onMedia`. False (or no such method): they cannot, all is as before.
   */
  openInbound?(keys: InboundKeys, listener: InboundListener): boolean;
  /** Media whose authentication succeeded counts as a sign of life (protocol.md #88); the media side says so. */
  noteAuthenticated(nowMs: number): void;
  /**
   * Answers the peer's SCTP from now on; call it once, as soon as the negotiation accepted `m=application`.
   * @throws {Error} when called twice
   */
  openDataChannels(options: DataChannelsOptions): DataChannels;
  /** `ip:port` of where datagrams go, or null. */
  readonly remoteAddress: string | null;
  /** Sends DTLS close_notify when a DTLS association is up and forgets everything. Idempotent; `onEnded` is not called. */
  close(): void;
}

/** Where a peer's datagrams go, for a sender that talks to the kernel by itself. */
export interface DatagramRoute {
  /** Of the bound UDP socket; only to send on, and only until the next change of the route. */
  readonly fd: number;
  /** 4 or 16 bytes. */
  readonly address: Buffer;
  /** Of a link-local IPv6 address; empty otherwise. */
  readonly zone: string;
  readonly port: number;
}

/** All transports of a process: the UDP sockets, the certificate, the demultiplexer. */
export interface MediaEndpoint {
  readonly candidates: readonly LocalCandidate[];
  readonly fingerprint: Fingerprint;
  createTransport(options: PeerTransportOptions): PeerTransport;
  /** Never throws for what the network does: a peer that cannot be reached ends as `never-connected`. */
  dialTransport(options: DialOptions): PeerTransport;
  /** Open transports, for leak tests and load. */
  readonly transportCount: number;
  close(): Promise<void>;
}
