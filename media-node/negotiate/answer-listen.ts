/**
 * A listener that offers itself, for clients that cannot take offers over HTTP: its offer and the wanted tracks → our
 * answer. What finds no section follows in offers of ours, which continue from the same state. Pure.
 */
import { ProblemError } from '../../shared/errors.ts';
import { bundleMids, isLive } from '../../shared/sdp/bundle.ts';
import { checkListenOffer } from '../../shared/sdp/member-offer-rules.ts';
import type { MediaSection, MediaSource, SessionDescription, Setup } from '../../shared/sdp/types.ts';
import { writeTrackInfo } from '../../shared/track-info.ts';
import { planEgress } from './answer-play.ts';
import { type ChosenFormat, choosePlayed, choosePublished, findRtx, readCodec } from './codecs.ts';
import { dataChannelSection, findDataChannel } from './data-channel-section.ts';
import { acceptExtensions, EGRESS_EXTENSIONS, extensionIds } from './extensions.ts';
import { occupantAttributes } from './listener-offer.ts';
import type { ListenerFormat, ListenerIds, ListenerOccupant, ListenerSdp, ListenerSlot } from './listener-sdp.ts';
import type {
  DataChannelPlan,
  ExtensionIds,
  ListenedTrackPlan,
  LocalTransport,
  RemoteTransport,
  WantedTrack,
} from './plan.ts';
import { bundleOrder, liveSection, printDescription, rejectedSection, trackMid } from './sections.ts';
import { originLine, originNumber, readRemoteTransport, roleAsAnswerer } from './transport-lines.ts';

export interface ListenAnswer {
  /** SDP text; its version is 1. */
  answer: string;
  /** Settled: `withTracks` and our offers go on from here. */
  state: ListenerSdp;
  remote: RemoteTransport;
  tracks: ListenedTrackPlan[];
  dataChannel: DataChannelPlan | null;
  /** Of the accepted m-sections, the BUNDLE-tagged one first; empty when a lone section has none. */
  mids: string[];
}

/** A section of the offer that we take, and what is sent on it. */
interface Taken {
  readonly section: MediaSection;
  /** Null: nothing yet; the section is `inactive` until an offer of ours uses it. */
  readonly track: WantedTrack | null;
  readonly chosen: ChosenFormat;
}

/** @throws ProblemError 400 and 422 of `checkListenOffer`; 422 `no_media` when nothing of the offer can be accepted */
export function answerListen(
  offer: SessionDescription,
  local: LocalTransport,
  wanted: readonly WantedTrack[],
  ids: ListenerIds,
  cname: string,
): ListenAnswer {
  checkListenOffer(offer);
  const remote = readRemoteTransport(offer, roleAsAnswerer);
  const bundle = bundleMids(offer);
  const channel = findDataChannel(offer.media, bundle);
  const taken = takeSections(offer, wanted);
  const accepted = offer.media.filter((section) => taken.has(section) || section === channel?.section);
  if (accepted.length === 0) throw new ProblemError(422, 'no_media', 'nothing of the offer can be accepted');
  const { mids, bundled } = bundleOrder(accepted, bundle);
  const setup: Setup = remote.dtlsRole === 'client' ? 'active' : 'passive';
  const tracks: ListenedTrackPlan[] = [];
  const slots: ListenerSlot[] = [];
  const media = offer.media.map((section): MediaSource => {
    const tagged = section.mid === (mids[0] ?? null);
    const place = taken.get(section);
    const payloadTypes = place === undefined ? [] : [place.chosen.payload.payloadType];
    const slot = { mid: slotMid(section, offer), kind: section.kind, protocol: section.protocol, payloadTypes };
    if (section === channel?.section) {
      slots.push({ ...slot, state: 'open', occupant: null });
      return dataChannelSection(section.mid, section.protocol, setup, local, tagged);
    }
    if (place === undefined) {
      slots.push({ ...slot, state: 'refused', occupant: null });
      return rejectedSection(section);
    }
    const occupant = place.track === null ? null : occupy(place.track, place.chosen, slots, ids);
    slots.push({ ...slot, state: 'open', occupant });
    if (occupant !== null) tracks.push(planTrack(place, occupant, cname));
    return answerSection(place, occupant, tracks.at(-1) ?? null, { setup, local, tagged, cname });
  });
  const state: ListenerSdp = {
    cname,
    origin: originNumber(local),
    slots,
    ...readFormats(offer),
    peerFormats: true,
    extensions: readExtensions([...taken.keys()]),
    unplayable: [],
  };
  const origin = originLine(state.origin, 1);
  const answer = printDescription(media, bundled, local, offer.extmapAllowMixed, [], origin);
  return { answer, state, remote, tracks, dataChannel: channel?.plan ?? null, mids };
}

/** A section that came without a mid needs one in offers of ours, unlike all others. */
function slotMid(section: MediaSection, offer: SessionDescription): string {
  const isTaken = (mid: string): boolean => offer.media.some((other) => other !== section && other.mid === mid);
  let mid = trackMid(section);
  while (isTaken(mid)) mid = `x${mid}`;
  return mid;
}

/** Each live section in turn gets the first wanted track that it can play. */
function takeSections(offer: SessionDescription, wanted: readonly WantedTrack[]): Map<MediaSection, Taken> {
  const taken = new Map<MediaSection, Taken>();
  const served = new Set<string>();
  for (const section of offer.media) {
    if (!isLive(section) || (section.kind !== 'audio' && section.kind !== 'video')) continue;
    let place: Taken | null = null;
    for (const track of section.direction === 'inactive' ? [] : wanted) {
      if (track.kind !== section.kind || served.has(track.key)) continue;
      const chosen = choosePlayed(track.codec, section);
      if (chosen === null) continue;
      served.add(track.key);
      place = { section, track, chosen };
      break;
    }
    const any = place === null ? choosePublished(section) : null;
    if (any !== null) place = { section, track: null, chosen: any };
    if (place !== null) taken.set(section, place);
  }
  return taken;
}

function occupy(
  track: WantedTrack,
  chosen: ChosenFormat,
  slots: readonly ListenerSlot[],
  ids: ListenerIds,
): ListenerOccupant {
  const partner = slots.find(({ occupant }) => occupant?.stream === track.stream)?.occupant;
  return {
    key: track.key,
    stream: track.stream,
    sourceMid: track.mid,
    codec: track.codec,
    info: track.info,
    ssrc: ids.nextSsrc(),
    rtxSsrc: chosen.rtx === null ? null : ids.nextSsrc(),
    streamId: partner?.streamId ?? ids.nextId(),
    trackId: ids.nextId(),
    payloadTypes: [chosen.payload.payloadType],
  };
}

function planTrack({ section, chosen }: Taken, occupant: ListenerOccupant, cname: string): ListenedTrackPlan {
  const { key, sourceMid, codec, ssrc, rtxSsrc } = occupant;
  const source = { mid: sourceMid, kind: codec.kind, codec };
  return { ...planEgress(section, { source, chosen }, { ssrc, rtxSsrc, cname }), key };
}

function answerSection(
  { section, chosen }: Taken,
  occupant: ListenerOccupant | null,
  track: ListenedTrackPlan | null,
  { setup, local, tagged, cname }: { setup: Setup; local: LocalTransport; tagged: boolean; cname: string },
): MediaSource {
  const sent = occupant === null ? null : track;
  const primary = {
    format: chosen.payload,
    fmtp: sent?.codec.fmtp ?? chosen.codec.fmtp,
    feedback: sent?.feedback ?? null,
  };
  return liveSection(
    {
      kind: section.kind,
      protocol: section.protocol,
      mid: section.mid,
      direction: occupant === null ? 'inactive' : 'sendonly',
      setup,
      payloads:
        chosen.rtx === null ? [primary] : [primary, { format: chosen.rtx, fmtp: chosen.rtx.fmtp, feedback: null }],
      extensions: acceptExtensions(section, EGRESS_EXTENSIONS, 'sendonly'),
      rtcpRsize: section.rtcpRsize,
      extra: occupant === null ? [] : occupantAttributes(occupant, cname),
      information: occupant === null ? null : writeTrackInfo(occupant.info),
    },
    local,
    tagged,
  );
}

/** What the peer's payload types mean; in a bundle each means one thing (RFC 9143 §9.1). */
function readFormats(offer: SessionDescription): Pick<ListenerSdp, 'formats' | 'reserved'> {
  const formats = new Map<number, ListenerFormat>();
  const reserved = new Set<number>();
  for (const section of offer.media) {
    for (const payload of section.payloads) {
      reserved.add(payload.payloadType);
      const codec = readCodec(payload, section.kind);
      if (codec === null || formats.has(payload.payloadType)) continue;
      const rtx = findRtx(section, payload.payloadType);
      const rtxPayloadType = rtx?.payloadType ?? null;
      formats.set(payload.payloadType, { payloadType: payload.payloadType, rtxPayloadType, codec });
    }
  }
  return { formats: [...formats.values()], reserved: [...reserved] };
}

function readExtensions(sections: readonly MediaSection[]): ExtensionIds {
  const ids: ExtensionIds = {};
  for (const section of sections) {
    for (const [name, id] of Object.entries(extensionIds(acceptExtensions(section, EGRESS_EXTENSIONS, 'sendonly')))) {
      ids[name as keyof ExtensionIds] ??= id;
    }
  }
  return ids;
}
