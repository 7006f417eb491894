/**
 * The result of a negotiation, as plain data: what the transport, the forwarder and the session layer need to know of an
 * offer/answer exchange. `negotiate/` produces it without I/O; nobody else reads SDP.
 */
import type { MediaKind, TrackInfo } from '../../shared/protocol/control.ts';

/** One direction's ICE credentials (RFC 8839 §5.4). */
export interface IceCredentials {
  ufrag: string;
  pwd: string;
}

export interface Fingerprint {
  /** Lower case: `sha-256`, … (RFC 8122 §5). */
  algorithm: string;
  /** Upper-case hex pairs joined by colons. */
  value: string;
}

/** A host candidate that the node announces. */
export interface LocalCandidate {
  address: string;
  port: number;
  family: 4 | 6;
}

/** What the negotiation must know of the transport before it can write an answer or an offer. */
export interface LocalTransport {
  ice: IceCredentials;
  fingerprint: Fingerprint;
  /** In the order in which they are written: first a UDP IPv4 one (protocol.md #106). */
  candidates: readonly LocalCandidate[];
}

/** What the negotiation learned of the peer's transport. */
export interface RemoteTransport {
  ice: IceCredentials;
  fingerprints: readonly Fingerprint[];
  /** Our DTLS role: `server` when we answer or expect `active` from the peer, `client` when the peer is `passive`. */
  dtlsRole: 'server' | 'client';
}

export type CodecName = 'H264' | 'H265' | 'VP8' | 'VP9' | 'AV1' | 'opus' | 'PCMU' | 'PCMA';

export interface Codec {
  name: CodecName;
  kind: MediaKind;
  /** Hz */
  clockRate: number;
  /** 1 or 2; 1 for video. */
  channels: number;
  /** Format parameters without the `a=fmtp:N ` prefix, e.g. `profile-level-id=42e01f;packetization-mode=1`; empty when none. */
  fmtp: string;
}

/** Header extension ids (RFC 8285) in use on one m-section; undefined: not negotiated. */
export interface ExtensionIds {
  mid?: number;
  rid?: number;
  repairedRid?: number;
  absSendTime?: number;
  transportCc?: number;
  videoOrientation?: number;
  audioLevel?: number;
  dependencyDescriptor?: number;
  absCaptureTime?: number;
  playoutDelay?: number;
  colorSpace?: number;
}

/** RTCP feedback that was negotiated on one m-section. */
export interface Feedback {
  nack: boolean;
  pli: boolean;
  fir: boolean;
  remb: boolean;
  transportCc: boolean;
}

/** One accepted m-section of a WHIP session: a track that we receive. */
export interface IngressTrackPlan {
  mid: string;
  kind: MediaKind;
  codec: Codec;
  payloadType: number;
  /** Payload type of RTX for `payloadType` (RFC 4588); null when not negotiated. */
  rtxPayloadType: number | null;
  extensions: ExtensionIds;
  feedback: Feedback;
  /** Simulcast rids in the offer's order; empty without simulcast. */
  rids: readonly string[];
  /** SSRCs announced in the offer, first the primary; `rtx` is its FID partner or null; `rid` only in relays. Empty when the offer names none. */
  ssrcs: readonly { primary: number; rtx: number | null; rid?: string }[];
}

/** One accepted m-section of a WHEP session: a track that we send. */
export interface EgressTrackPlan {
  mid: string;
  kind: MediaKind;
  /** The mid, on the publisher's session, of the track that is sent here. */
  sourceMid: string;
  codec: Codec;
  /** As the viewer numbers it. */
  payloadType: number;
  rtxPayloadType: number | null;
  extensions: ExtensionIds;
  feedback: Feedback;
  /** Chosen by us and written in `a=ssrc`. */
  ssrc: number;
  rtxSsrc: number | null;
  /** RTCP CNAME, one per session. */
  cname: string;
  /** To a node that relays: this stream is one layer of the track, of which `all` are offered, and is sent while it is wanted. */
  layer?: { rid: string; all: readonly string[] };
}

/** A published track as WHEP negotiation sees it. */
export interface SourceTrackInfo {
  mid: string;
  kind: MediaKind;
  codec: Codec;
  /** Simulcast rids; absent or empty without simulcast. */
  rids?: readonly string[];
}

/** The peer's end of an accepted `m=application` section: what `PeerTransport.openDataChannels` wants to know. */
export interface DataChannelPlan {
  /** `a=sctp-port` */
  remotePort: number;
  /** `a=max-message-size`: longest message that the peer takes. */
  maxMessageBytes: number;
}

/** A member's track as `answerJoin` reads it. */
export interface JoinedTrackPlan extends IngressTrackPlan {
  /** From the section's `i=` line. */
  info: TrackInfo;
  /** The publisher's MediaStream, to tell which audio belongs to which video; its own mid when the section names none. */
  stream: string;
}

/** A track that a listener should get. */
export interface WantedTrack extends SourceTrackInfo {
  /** Names the track among all of the lobby, e.g. `<session>/<mid>`. */
  key: string;
  /** The same, as all listeners may know it; absent: they are told none. */
  name?: string;
  /** Tracks with the same value are one MediaStream for the listener, e.g. `<session>/<publisher's stream>`. */
  stream: string;
  info: TrackInfo;
}

/** A track that a listener's answer accepted. */
export interface ListenedTrackPlan extends EgressTrackPlan {
  key: string;
}
