/**
 * What the session layer uses of the forwarder. `forward/` and `rtcp/` know packets, keys, SSRCs and time; they know no
 * SDP, no lobby and no JSON. Time is an argument (`nowMs`: monotonic milliseconds, fractional) everywhere.
 */
import type { EgressTrackPlan, IngressTrackPlan } from '../negotiate/plan.ts';
import type { DatagramRoute, SrtpKeys } from '../transport/types.ts';
import type { OpenInbound } from './srtp/open-inbound.ts';

/** Sends one protected datagram to a peer; synchronous; the buffer may be reused afterwards. */
export type SendDatagram = (datagram: Buffer) => void;

/** Totals since the start, of an engine that talks to the kernel by itself. */
export interface SendingStats {
  systemCalls: number;
  /** What datagrams left in: one each, or a whole frame that the kernel cut. */
  messages: number;
  /** Datagrams in messages that the kernel cut (UDP GSO). */
  segmented: number;
  /** Times that a socket's buffer was full. */
  waits: number;
  /** Datagrams that were never sent: they had waited too long, or there was no room to wait in. */
  dropped: number;
  /** Of those dropped: they had waited too long. */
  tooLate: number;
  /** Of those dropped: a full socket left no room. */
  noRoom: number;
  /** Datagrams that left more than 10 ms after they came. */
  delayed: number;
  /** What the kernel granted to the socket that was used last; 0 before the first. */
  sendBufferBytes: number;
}

export interface LayerStats {
  rid: string | null;
  ssrc: number;
  packets: number;
  bytes: number;
  /** Over the last second. */
  bitrateBps: number;
  lost: number;
  nacksSent: number;
  recovered: number;
  plisSent: number;
  jitterMs: number;
  keyframes: number;
}

export interface IngressTrackStats {
  mid: string;
  kind: 'audio' | 'video';
  layers: LayerStats[];
}

export interface EgressTrackStats {
  mid: string;
  kind: 'audio' | 'video';
  ssrc: number;
  packets: number;
  bytes: number;
  nacksReceived: number;
  retransmitted: number;
  plisReceived: number;
  /** From the viewer's receiver reports. */
  fractionLost: number;
  roundTripMs: number | null;
  jitterMs: number | null;
  /** The layer that is sent now; null: none, or one without a name. */
  rid: string | null;
}

/** One simulcast encoding of a track, as viewers may know it. */
export interface LayerInfo {
  /** Null: the track has one encoding, or its encodings have no names. */
  rid: string | null;
  /** Over the last second; 0: it does not flow. */
  bitrateBps: number;
  /** Pixels of its newest keyframe; 0: not known. */
  width: number;
  height: number;
}

/** Which layer of a track somebody wants. */
export interface LayerChoice {
  /** This one, whatever the line is like; null: automatic, the best that the line allows. */
  rid: string | null;
  /** Pixels that an automatic choice stays within; Infinity: no limit. */
  maxWidth: number;
  maxHeight: number;
}

/** A published track inside the forwarder; what egress sessions attach to. Opaque to the session layer. */
export interface SourceTrack {
  readonly mid: string;
  readonly kind: 'audio' | 'video';
  /** Those that flow, best first, then those that were offered and do not. */
  describeLayers(nowMs: number): LayerInfo[];
}

export interface IngressMediaOptions {
  tracks: readonly IngressTrackPlan[];
  keys: SrtpKeys;
  send: SendDatagram;
  /** `PeerTransport.openInbound`, where there is one. */
  openInbound?: OpenInbound;
  /** Called for each datagram that authenticated, so that the transport knows that the peer lives. */
  onAuthenticated(nowMs: number): void;
}

/** The packets of one WHIP session. */
export interface IngressMedia {
  readonly tracks: readonly SourceTrack[];
  /** One SRTP or SRTCP datagram. */
  receive(datagram: Buffer, nowMs: number): void;
  stats(nowMs: number): IngressTrackStats[];
  close(): void;
}

export interface EgressMediaOptions {
  tracks: readonly EgressTrackPlan[];
  /**
   * Null: a tap. Packets leave as plain RTP and RTCP for a program on this machine, and nothing is received. A video begins
   * with the next keyframe, not with cached packets, unless `cachedStart` says so: their burst is more than the receive
   * buffer of a socket holds.
   */
  keys: SrtpKeys | null;
  send: SendDatagram;
  /** Whether a video may begin with the cached packets since its last keyframe; not given: yes, but for a tap. */
  cachedStart?: boolean;
  /** Where `send` sends to, for an engine that does it by itself: `PeerTransport.watchRoute`. */
  watchRoute?: (listener: (route: DatagramRoute | null) => void) => void;
  /** `PeerTransport.openInbound`, where there is one. */
  openInbound?: OpenInbound;
  /** What requests for keyframes that come from there count as; `viewer-pli` when not given. */
  keyframeReason?: 'viewer-pli' | 'relay' | 'recording';
  /** The layers of the track on this m-section, or their sizes, are others than before. Called in the hot path: note it. */
  onLayers?(mid: string): void;
  onAuthenticated(nowMs: number): void;
}

/** The packets of one WHEP session. */
export interface EgressMedia {
  /**
   * Sends `source` on the m-section `mid` from now on; replaces what was sent there, keeping sequence numbers and
   * timestamps continuous. A new viewer of a video gets the cached packets since the last keyframe at once (when there
   * are any and the cache is on) and a keyframe is requested in any case when there are none. Null: nothing.
   */
  attach(mid: string, source: SourceTrack | null, nowMs: number): void;
  /**
   * The m-sections that are sent on from now on, under the same keys. A track that is known by its SSRC goes on
   * undisturbed, as it was opened; others end, and everything of them is freed; new ones wait for `attach`.
   * @throws {RangeError} and changes nothing when a new track's SSRCs have been used in this session before: under one
   *   key a number must never get two contents
   */
  setTracks(tracks: readonly EgressTrackPlan[], nowMs: number): void;
  /**
   * What is sent on the m-section `mid` from the next keyframe of that layer on; automatic at first. It stays chosen
   * when another track is attached.
   * @throws {RangeError} without such an m-section
   */
  setLayer(mid: string, choice: LayerChoice, nowMs: number): void;
  /** As a PLI from the viewer would; for a tap, whose reader sends none. */
  requestKeyframe(mid: string, nowMs: number): void;
  receive(datagram: Buffer, nowMs: number): void;
  stats(nowMs: number): EgressTrackStats[];
  close(): void;
}

export interface ForwarderOptions {
  /** Start new viewers from the packets since the last keyframe. */
  keyframeCache: boolean;
  /** Upper bound of that cache per video layer, bytes. */
  keyframeCacheBytes: number;
}

/** All media of a process. Owns the one timer that drives reports, retransmission requests and catching-up viewers. */
export interface Forwarder {
  readonly engine: 'portable' | 'native';
  openIngress(options: IngressMediaOptions, nowMs: number): IngressMedia;
  openEgress(options: EgressMediaOptions, nowMs: number): EgressMedia;
  /** Totals since the start. */
  readonly counters: Readonly<{
    packetsIn: number;
    packetsOut: number;
    bytesIn: number;
    bytesOut: number;
    dropped: number;
    /** Of what was to be sent; see `SendingStats`. */
    droppedOut: number;
    delayedOut: number;
  }>;
  /** How datagrams leave, and what is late or lost of them; null with the portable engine, where node:dgram sends. */
  readonly sending: SendingStats | null;
  /** Drives everything that time drives; the process calls it every 10 ms. */
  tick(nowMs: number): void;
  close(): void;
}
