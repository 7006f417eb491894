/** Which track is sent on which section of a listener's session. Pure. */
import { formatsFor } from './listener-formats.ts';
import type { ListenerIds, ListenerOccupant, ListenerSdp, ListenerSlot } from './listener-sdp.ts';
import { PROTOCOL } from './offer-play.ts';
import type { Codec, WantedTrack } from './plan.ts';

/** Below what a parser of SDP takes (`MAX_SDP_SECTIONS`). */
export const MAX_LISTENER_SLOTS = 120;

/**
 * The next state: vanished tracks leave their sections, new ones take free sections of their kind, or new sections at the
 * end. Sections keep their mids and order. A section that a track leaves is free again once the peer has answered an offer
 * that says so. Words about tracks (`info`) are brought up to date; `needsOffer` tells whether more than that changed.
 * Tracks for which nothing is left (sections, payload types) and those the peer did not take are left out.
 *
 * @param state settled: what the last answer was for, not an offer that is still on the way
 */
export function withTracks(state: ListenerSdp, wanted: readonly WantedTrack[], ids: ListenerIds): ListenerSdp {
  const byKey = new Map(wanted.map((track) => [track.key, track]));
  const unplayable = state.unplayable.filter((key) => byKey.has(key));
  const slots = state.slots.map((slot) => keepOrFree(slot, byKey));
  let { formats } = state;
  for (const track of wanted) {
    if (unplayable.includes(track.key) || slots.some(({ occupant }) => occupant?.key === track.key)) continue;
    const used = new Set(slots.flatMap(({ occupant }) => occupant?.payloadTypes ?? []));
    const found = formatsFor({ ...state, formats }, track.codec, used);
    const place = findPlace(slots, track.kind);
    if (found.payloadTypes.length === 0 || place === null) continue;
    formats = found.formats;
    const hasRtx = formats.some(
      (format) => format.rtxPayloadType !== null && found.payloadTypes.includes(format.payloadType),
    );
    slots[place.index] = {
      mid: place.mid,
      kind: track.kind,
      protocol: slots[place.index]?.protocol ?? PROTOCOL,
      state: 'open',
      occupant: occupy(track, slots, found.payloadTypes, hasRtx, ids),
      payloadTypes: found.payloadTypes,
    };
  }
  return { ...state, slots, formats, unplayable };
}

function keepOrFree(slot: ListenerSlot, wanted: ReadonlyMap<string, WantedTrack>): ListenerSlot {
  const { occupant } = slot;
  if (occupant === null) return slot;
  const track = wanted.get(occupant.key);
  // A track that came back with another codec is another track.
  if (track === undefined || !isSameSource(track.codec, occupant.codec)) {
    return { ...slot, state: 'cooling', occupant: null };
  }
  return { ...slot, occupant: { ...occupant, info: track.info, sourceMid: track.mid } };
}

function isSameSource(a: Codec, b: Codec): boolean {
  return a.name === b.name && a.fmtp === b.fmtp;
}

function findPlace(slots: readonly ListenerSlot[], kind: string): { index: number; mid: string } | null {
  const isFree = (slot: ListenerSlot): boolean => slot.kind === kind && slot.occupant === null;
  const free = slots.findIndex((slot) => isFree(slot) && slot.state === 'open');
  if (free >= 0) return { index: free, mid: slots[free]?.mid ?? '' };
  const refused = slots.findIndex((slot) => isFree(slot) && slot.state === 'refused');
  if (refused >= 0) return { index: refused, mid: freshMid(slots) };
  return slots.length < MAX_LISTENER_SLOTS ? { index: slots.length, mid: freshMid(slots) } : null;
}

function freshMid(slots: readonly ListenerSlot[]): string {
  const taken = new Set(slots.map(({ mid }) => mid));
  let number = slots.length;
  while (taken.has(String(number))) number += 1;
  return String(number);
}

function occupy(
  track: WantedTrack,
  slots: readonly ListenerSlot[],
  payloadTypes: readonly number[],
  hasRtx: boolean,
  ids: ListenerIds,
): ListenerOccupant {
  const partner = slots.find(({ occupant }) => occupant?.stream === track.stream)?.occupant;
  return {
    key: track.key,
    name: track.name,
    stream: track.stream,
    sourceMid: track.mid,
    codec: track.codec,
    info: track.info,
    ssrc: ids.nextSsrc(),
    rtxSsrc: hasRtx ? ids.nextSsrc() : null,
    streamId: partner?.streamId ?? ids.nextId(),
    trackId: ids.nextId(),
    payloadTypes,
  };
}
