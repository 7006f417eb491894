/**
 * What a listener's session looks like to its peer, as plain data: m-sections that only ever grow in number, what is sent
 * on them, and the payload types that go with it. `withTracks` makes the next state, `printOffer` offers it,
 * `acceptAnswer` settles it.
 */
import type { MediaKind, TrackInfo } from '../../shared/protocol/control.ts';
import { DATA_CHANNEL_PROTOCOL } from './data-channel-section.ts';
import { EXTENSION_IDS } from './offer-play.ts';
import type { Codec, ExtensionIds, LocalTransport } from './plan.ts';
import { originNumber } from './transport-lines.ts';

/** Random values of one listener's session; minted by the caller, so that negotiation stays pure. */
export interface ListenerIds {
  /** A new SSRC at every call, never 0 and never one given before. */
  nextSsrc(): number;
  /** A new token for MediaStream and track ids at every call. */
  nextId(): string;
}

/** A payload type of the session and what it means, in every section of the bundle and for ever. */
export interface ListenerFormat {
  readonly payloadType: number;
  /** Null for audio, which is not retransmitted, and when the peer knows no RTX for it. */
  readonly rtxPayloadType: number | null;
  /** With the parameters that we offer, or with the peer's own. */
  readonly codec: Codec;
}

/** A track on a section. */
export interface ListenerOccupant {
  readonly key: string;
  /** As in `WantedTrack`. */
  readonly name?: string | undefined;
  /** Tracks with the same value share `streamId`. */
  readonly stream: string;
  /** Its mid on the publisher's session. */
  readonly sourceMid: string;
  readonly codec: Codec;
  readonly info: TrackInfo;
  readonly ssrc: number;
  readonly rtxSsrc: number | null;
  /** Ours, new each time a track is placed: never the publisher's. */
  readonly streamId: string;
  readonly trackId: string;
  /** Of the session's formats, in order of preference. */
  readonly payloadTypes: readonly number[];
}

/**
 * `open`: may carry a track; `cooling`: its last track is gone, and the peer has not heard of that yet: a new track there
 * would go unnoticed, since browsers announce tracks of sections that begin to send; `refused`: rejected by port 0, to be
 * reused only under another mid (RFC 9429 §5.2.2).
 */
export type SlotState = 'open' | 'cooling' | 'refused';

export interface ListenerSlot {
  readonly mid: string;
  /** `application`, `audio`, `video`; anything else is refused. */
  readonly kind: string;
  readonly protocol: string;
  readonly state: SlotState;
  readonly occupant: ListenerOccupant | null;
  /** What the section lists; of a free one, what it listed last. */
  readonly payloadTypes: readonly number[];
}

export interface ListenerSdp {
  /** RTCP CNAME, one per session. */
  readonly cname: string;
  /** Session id of the `o=` line. */
  readonly origin: number;
  /** In the order of the description. */
  readonly slots: readonly ListenerSlot[];
  readonly formats: readonly ListenerFormat[];
  /** The peer described its formats itself: what suits one of them is sent under it. */
  readonly peerFormats: boolean;
  /** Payload types that the peer used for what is not ours. */
  readonly reserved: readonly number[];
  /** Header extension ids, the same in all sections. */
  readonly extensions: ExtensionIds;
  /** Keys of wanted tracks that the peer did not take. */
  readonly unplayable: readonly string[];
}

/** The state behind our offer number 0: a data channel and no track. */
export function emptyListener(local: LocalTransport, cname: string): ListenerSdp {
  return {
    cname,
    origin: originNumber(local),
    slots: [
      {
        mid: '0',
        kind: 'application',
        protocol: DATA_CHANNEL_PROTOCOL,
        state: 'open',
        occupant: null,
        payloadTypes: [],
      },
    ],
    formats: [],
    peerFormats: false,
    reserved: [],
    extensions: Object.fromEntries(EXTENSION_IDS),
    unplayable: [],
  };
}

/** The section on which a track is sent; null when it has none. */
export function midOfTrack(state: ListenerSdp, key: string): string | null {
  return state.slots.find(({ occupant }) => occupant?.key === key)?.mid ?? null;
}

/** Mids of the sections that live, the BUNDLE-tagged one first. */
export function listenerMids(state: ListenerSdp): string[] {
  return state.slots.filter((slot) => slot.state !== 'refused').map(({ mid }) => mid);
}

/** Whether `next` must be offered to a peer that knows `current`: other tracks, not other words about them. */
export function needsOffer(current: ListenerSdp, next: ListenerSdp): boolean {
  const ssrcs = (state: ListenerSdp): string =>
    state.slots.map(({ mid, occupant }) => `${mid}:${occupant?.ssrc ?? ''}`).join(' ');
  return ssrcs(current) !== ssrcs(next);
}

export function isMediaKind(kind: string): kind is MediaKind {
  return kind === 'audio' || kind === 'video';
}
