/**
 * A session description (RFC 8866) as plain readonly data. `SdpSource` is what gets printed; `SessionDescription` is
 * what parsing yields: the same lines plus their typed meaning, with session-level defaults already applied to every
 * section.
 */

export interface Attribute {
  readonly name: string;
  /** Null for a flag such as `a=rtcp-mux`. */
  readonly value: string | null;
}

/** A line other than v, o, s, i, m and a, kept in order: `c=`, `b=`, `t=`, … */
export interface OtherLine {
  readonly type: string;
  readonly value: string;
}

export interface MediaSource {
  /** `audio`, `video`, `application`, or whatever the line says. */
  readonly kind: string;
  readonly port: number;
  readonly protocol: string;
  readonly formats: readonly string[];
  /** The `i=` line. */
  readonly information: string | null;
  readonly lines: readonly OtherLine[];
  readonly attributes: readonly Attribute[];
}

export interface SdpSource {
  /** The value of the `o=` line. */
  readonly origin: string;
  /** The value of the `s=` line. */
  readonly name: string;
  readonly information: string | null;
  readonly lines: readonly OtherLine[];
  readonly attributes: readonly Attribute[];
  readonly media: readonly MediaSource[];
}

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
export type Setup = 'active' | 'passive' | 'actpass' | 'holdconn';

export interface IceParameters {
  readonly ufrag: string;
  readonly pwd: string;
}

export interface FingerprintAttribute {
  /** Lower case. */
  readonly algorithm: string;
  /** Upper-case hex pairs joined by colons. */
  readonly value: string;
}

/** One payload type of an m-line with everything that its `rtpmap`, `fmtp` and `rtcp-fb` lines say. */
export interface PayloadFormat {
  readonly payloadType: number;
  /** As written; compare without case (GStreamer writes `OPUS`). */
  readonly encoding: string;
  /** Hz */
  readonly clockRate: number;
  readonly channels: number;
  /** Everything after `a=fmtp:N `; empty when there is none. */
  readonly fmtp: string;
  /** `nack`, `nack pli`, `ccm fir`, …, wildcard lines included. */
  readonly feedback: readonly string[];
}

export interface ExtensionMap {
  readonly id: number;
  /** As seen by who wrote the description; null when the line names none (then it follows the section). */
  readonly direction: Direction | null;
  readonly uri: string;
}

export interface RidAttribute {
  readonly id: string;
  readonly direction: 'send' | 'recv';
  /** `pt=` restriction; empty: every payload type of the section. */
  readonly payloadTypes: readonly number[];
}

/** `a=simulcast` (RFC 8853): streams in order, each a list of alternative rids. Pause marks (`~`) are dropped. */
export interface SimulcastAttribute {
  readonly send: readonly (readonly string[])[];
  readonly recv: readonly (readonly string[])[];
}

export interface MsidAttribute {
  readonly stream: string;
  readonly track: string | null;
}

export interface SsrcGroup {
  readonly semantics: string;
  readonly ssrcs: readonly number[];
}

export interface CandidateAttribute {
  readonly foundation: string;
  readonly component: number;
  /** Lower case: `udp`, `tcp`. */
  readonly transport: string;
  readonly priority: number;
  /** IPv4, IPv6 or a name (mDNS). */
  readonly address: string;
  readonly port: number;
  /** `host`, `srflx`, `prflx`, `relay`. */
  readonly type: string;
  /** The `ufrag` extension: which ICE generation the candidate is of. */
  readonly ufrag: string | null;
}

export interface MediaSection extends MediaSource {
  readonly index: number;
  readonly mid: string | null;
  readonly direction: Direction;
  readonly ice: IceParameters | null;
  /** Well-formed ones, as written. */
  readonly fingerprints: readonly FingerprintAttribute[];
  readonly setup: Setup | null;
  /** In the order of the m-line; payload types without a known meaning are left out. */
  readonly payloads: readonly PayloadFormat[];
  readonly extensions: readonly ExtensionMap[];
  readonly rids: readonly RidAttribute[];
  readonly simulcast: SimulcastAttribute | null;
  readonly msids: readonly MsidAttribute[];
  /** Every SSRC named by an `a=ssrc` line, once, in order. */
  readonly ssrcs: readonly number[];
  readonly ssrcGroups: readonly SsrcGroup[];
  readonly candidates: readonly CandidateAttribute[];
  readonly endOfCandidates: boolean;
  readonly bundleOnly: boolean;
  readonly rtcpMux: boolean;
  readonly rtcpMuxOnly: boolean;
  readonly rtcpRsize: boolean;
}

export interface Group {
  readonly semantics: string;
  readonly mids: readonly string[];
}

export interface SessionDescription extends SdpSource {
  readonly media: readonly MediaSection[];
  readonly groups: readonly Group[];
  readonly iceLite: boolean;
  readonly iceOptions: readonly string[];
  /** `a=extmap-allow-mixed`: one-byte and two-byte header extensions may alternate (RFC 8285 §4.1.2). */
  readonly extmapAllowMixed: boolean;
}
