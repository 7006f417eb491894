/** A listener's session as our offers describe it, and what the peer's answers make of it. Pure. */
import { bundleMids } from '../../shared/sdp/bundle.ts';
import { badSdp } from '../../shared/sdp/parse.ts';
import type { MediaSection, MediaSource, PayloadFormat, SessionDescription } from '../../shared/sdp/types.ts';
import { LISTENED_TRACK_ATTRIBUTE, writeTrackInfo } from '../../shared/track-info.ts';
import { EGRESS_FEEDBACK, planEgress } from './answer-play.ts';
import { choosePlayed } from './codecs.ts';
import { DATA_CHANNEL_FORMAT, dataChannelSection, readDataChannel } from './data-channel-section.ts';
import type { AcceptedExtension, ExtensionName } from './extensions.ts';
import { playedFmtp } from './fmtp.ts';
import { toPayload } from './listener-formats.ts';
import {
  isMediaKind,
  type ListenerOccupant,
  type ListenerSdp,
  type ListenerSlot,
  listenerMids,
} from './listener-sdp.ts';
import { AUDIO_EXTENSIONS, AUDIO_FEEDBACK } from './offer-play.ts';
import type { DataChannelPlan, ExtensionIds, ListenedTrackPlan, LocalTransport, RemoteTransport } from './plan.ts';
import { liveSection, printDescription, rejectedSection } from './sections.ts';
import { sourceAttributes } from './sender-lines.ts';
import { attribute, originLine, readRemoteTransport, roleAsOfferer } from './transport-lines.ts';

/**
 * Our offer, from the first to the last of a session. Always `actpass`: a peer that has a role keeps it (RFC 8842 §5.2).
 * @param version 1 for the first description of the session, one more with each (RFC 3264 §8)
 */
export function printOffer(state: ListenerSdp, local: LocalTransport, options: { version: number }): string {
  const mids = listenerMids(state);
  const media = state.slots.map((slot) => offerSection(state, slot, local, slot.mid === mids[0]));
  const semantic = attribute('msid-semantic', ' WMS *');
  return printDescription(media, mids, local, true, [semantic], originLine(state.origin, options.version));
}

function offerSection(state: ListenerSdp, slot: ListenerSlot, local: LocalTransport, tagged: boolean): MediaSource {
  if (slot.state === 'refused') return rejectedSection({ ...slot, formats: refusedFormats(slot) });
  if (!isMediaKind(slot.kind)) return dataChannelSection(slot.mid, slot.protocol, 'actpass', local, tagged);
  const { occupant } = slot;
  return liveSection(
    {
      kind: slot.kind,
      protocol: slot.protocol,
      mid: slot.mid,
      direction: occupant === null ? 'inactive' : 'sendonly',
      setup: 'actpass',
      payloads: offeredPayloads(state, slot),
      extensions: offeredExtensions(state.extensions, slot.kind),
      rtcpRsize: slot.kind === 'video',
      extra: occupant === null ? [] : occupantAttributes(occupant, state.cname),
      information: occupant === null ? null : writeTrackInfo(occupant.info),
    },
    local,
    tagged,
  );
}

function refusedFormats({ kind, payloadTypes }: ListenerSlot): string[] {
  if (kind === 'application') return [DATA_CHANNEL_FORMAT];
  return [String(payloadTypes[0] ?? 0)];
}

export function occupantAttributes({ name, streamId, trackId, ssrc, rtxSsrc }: ListenerOccupant, cname: string) {
  const sources = sourceAttributes(`${streamId} ${trackId}`, cname, ssrc, rtxSsrc);
  return name === undefined ? sources : [...sources, attribute(LISTENED_TRACK_ATTRIBUTE, name)];
}

/** Of a free section whose payload types were given away, some other format of its kind: an m-line cannot be empty. */
function offeredPayloads(state: ListenerSdp, { kind, occupant, payloadTypes }: ListenerSlot) {
  const feedback = kind === 'video' ? EGRESS_FEEDBACK : AUDIO_FEEDBACK;
  const known = state.formats.filter((format) => format.codec.kind === kind);
  const listed = payloadTypes.flatMap((payloadType) => known.filter((format) => format.payloadType === payloadType));
  return (listed.length > 0 ? listed : known.slice(0, 1)).flatMap((format) => {
    const fmtp = occupant === null ? format.codec.fmtp : playedFmtp(occupant.codec, format.codec);
    const primary = { format: toPayload(format), fmtp, feedback };
    return format.rtxPayloadType === null
      ? [primary]
      : [primary, { ...rtxPayload(format.rtxPayloadType, format), feedback: null }];
  });
}

function rtxPayload(payloadType: number, of: { payloadType: number; codec: { clockRate: number } }) {
  const fmtp = `apt=${of.payloadType}`;
  const { clockRate } = of.codec;
  const format: PayloadFormat = { payloadType, encoding: 'rtx', clockRate, channels: 1, fmtp, feedback: [] };
  return { format, fmtp };
}

function offeredExtensions(ids: ExtensionIds, kind: string): AcceptedExtension[] {
  return (Object.keys(ids) as ExtensionName[]).flatMap((name) => {
    const id = ids[name];
    if (id === undefined || (kind === 'audio' && !AUDIO_EXTENSIONS.has(name))) return [];
    return [{ id, name, direction: null }];
  });
}

export interface ListenerAnswer {
  /** Settled: what the next `withTracks` starts from. */
  state: ListenerSdp;
  /** The first one counts; later answers repeat it. */
  remote: RemoteTransport;
  /** Everything that is sent from now on. */
  tracks: ListenedTrackPlan[];
  /** Null when the peer wants none. */
  dataChannel: DataChannelPlan | null;
}

/**
 * The peer's answer to `printOffer(state)`. Tracks that it rejects, does not want or cannot play are remembered as
 * `unplayable`; the next offer says `inactive` on their sections.
 * @throws ProblemError 400 `bad_sdp` when it does not fit the offer, 422 `no_media`; the offer stays open then
 */
export function acceptAnswer(state: ListenerSdp, answer: SessionDescription): ListenerAnswer {
  if (answer.media.length !== state.slots.length) throw badSdp('the answer has other media sections than the offer');
  const bundle = new Set(bundleMids(answer) ?? listenerMids(state).slice(0, 1));
  const tracks: ListenedTrackPlan[] = [];
  const unplayable = [...state.unplayable];
  let dataChannel: DataChannelPlan | null = null;
  const slots = state.slots.map((slot, index): ListenerSlot => {
    const section = answer.media[index];
    if (section === undefined || section.kind !== slot.kind || (section.mid ?? slot.mid) !== slot.mid) {
      throw badSdp('the answer has other media sections than the offer');
    }
    if (slot.state === 'refused') return slot;
    const { occupant } = slot;
    // In an answer port 0 always means no, whatever `bundle-only` says.
    if (section.port === 0) {
      if (occupant !== null) unplayable.push(occupant.key);
      return { ...slot, state: 'refused', occupant: null };
    }
    if (!bundle.has(slot.mid)) throw badSdp('the answer breaks the bundle');
    if (slot.kind === 'application') {
      dataChannel = readDataChannel(section);
      return slot;
    }
    if (occupant === null) return { ...slot, state: 'open' };
    const track = acceptTrack(state, section, slot.mid, occupant);
    if (track !== null) {
      tracks.push(track);
      return { ...slot, state: 'open' };
    }
    unplayable.push(occupant.key);
    return { ...slot, state: 'cooling', occupant: null };
  });
  const remote = readRemoteTransport(answer, roleAsOfferer);
  return { state: { ...state, slots, unplayable }, remote, tracks, dataChannel };
}

/** Null when the peer does not want it or cannot play it. */
function acceptTrack(
  state: ListenerSdp,
  section: MediaSection,
  mid: string,
  occupant: ListenerOccupant,
): ListenedTrackPlan | null {
  if (section.direction !== 'recvonly' && section.direction !== 'sendrecv') return null;
  // Numbers that were not offered are no answer.
  const payloads = section.payloads.filter(({ payloadType }) => isOffered(state, occupant, payloadType));
  const chosen = choosePlayed(occupant.codec, { kind: section.kind, payloads });
  if (chosen === null) return null;
  const { codec, key, sourceMid, ssrc, rtxSsrc } = occupant;
  const source = { mid: sourceMid, kind: codec.kind, codec };
  const plan = planEgress({ ...section, mid }, { source, chosen }, { ssrc, rtxSsrc, cname: state.cname });
  // Ids are ours to give: an answer that renumbers them does not know the extension (RFC 8285 §6).
  for (const name of Object.keys(plan.extensions) as ExtensionName[]) {
    if (plan.extensions[name] !== state.extensions[name]) delete plan.extensions[name];
  }
  return { ...plan, key };
}

function isOffered({ formats }: ListenerSdp, { payloadTypes }: ListenerOccupant, payloadType: number): boolean {
  return formats.some(
    (format) =>
      payloadTypes.includes(format.payloadType) &&
      (format.payloadType === payloadType || format.rtxPayloadType === payloadType),
  );
}
