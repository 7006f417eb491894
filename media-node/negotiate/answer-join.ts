/** A member's WHIP: its offer → our answer, the plan of what it will send, and its data channel. Pure. */
import { ProblemError } from '../../shared/errors.ts';
import type { TrackInfo } from '../../shared/protocol/control.ts';
import { bundleMids, isLive } from '../../shared/sdp/bundle.ts';
import { checkJoinOffer } from '../../shared/sdp/member-offer-rules.ts';
import type { MediaSection, MediaSource, SessionDescription, Setup } from '../../shared/sdp/types.ts';
import { DEFAULT_TRACK_INFO, readTrackInfo } from '../../shared/track-info.ts';
import { dataChannelSection, findDataChannel } from './data-channel-section.ts';
import { answerIngressSection } from './ingress-section.ts';
import type { DataChannelPlan, JoinedTrackPlan, LocalTransport, RemoteTransport } from './plan.ts';
import { bundleOrder, printDescription, rejectedSection, trackMid } from './sections.ts';
import { readRemoteTransport, roleAsAnswerer } from './transport-lines.ts';

export interface JoinAnswer {
  /** SDP text */
  answer: string;
  remote: RemoteTransport;
  tracks: JoinedTrackPlan[];
  /** Null when the offer has none. */
  dataChannel: DataChannelPlan | null;
  /** Of the accepted m-sections, the BUNDLE-tagged one first; empty when a lone section has none. */
  mids: string[];
}

/** Of the tracks of a client that knows no `i=` lines, because it is an encoder that feeds the show. */
const MAIN_TRACK_INFO: TrackInfo = { purpose: 'main', muted: false, label: 'Main' };

export interface JoinOptions {
  /** A static publisher: tracks without a readable `i=` line are main ones. */
  fixed?: boolean;
}

/**
 * As `answerPublish`, but any number of tracks, of any number of MediaStreams, and a data channel.
 * @throws ProblemError 400 and 422 of `checkJoinOffer`; 422 `no_common_codec`; 422 `no_media` when nothing of the offer
 *   can be accepted
 */
export function answerJoin(offer: SessionDescription, local: LocalTransport, options: JoinOptions = {}): JoinAnswer {
  checkJoinOffer(offer);
  const defaultInfo = options.fixed ? MAIN_TRACK_INFO : DEFAULT_TRACK_INFO;
  const remote = readRemoteTransport(offer, roleAsAnswerer);
  const bundle = bundleMids(offer);
  const channel = findDataChannel(offer.media, bundle);
  const accepted = offer.media.filter((section) => isSent(section) || section === channel?.section);
  if (accepted.length === 0)
    throw new ProblemError(422, 'no_media', 'the offer holds neither tracks nor a data channel');
  const { mids, bundled } = bundleOrder(accepted, bundle);
  const setup: Setup = remote.dtlsRole === 'client' ? 'active' : 'passive';
  const tracks: JoinedTrackPlan[] = [];
  const streams = new StreamNames();
  const media = offer.media.map((section): MediaSource => {
    const tagged = section.mid === (mids[0] ?? null);
    if (section === channel?.section) return dataChannelSection(section.mid, section.protocol, setup, local, tagged);
    if (!isSent(section)) return rejectedSection(section);
    const { track, source } = answerIngressSection(section, setup, local, tagged);
    const info = readTrackInfo(section.information, defaultInfo);
    tracks.push({ ...track, info, stream: streams.of(section) });
    return source;
  });
  const answer = printDescription(media, bundled, local, offer.extmapAllowMixed);
  return { answer, remote, tracks, dataChannel: channel?.plan ?? null, mids };
}

function isSent(section: MediaSection): boolean {
  return isLive(section) && (section.kind === 'audio' || section.kind === 'video') && section.direction !== 'inactive';
}

/** Which tracks are one stream. A client without `a=msid` (FFmpeg) means its first audio and its first video to be one. */
class StreamNames {
  readonly #nameless = new Set<string>();

  of(section: MediaSection): string {
    const [msid] = section.msids;
    if (msid !== undefined && msid.stream !== '-') return `msid ${msid.stream}`;
    if (msid === undefined && !this.#nameless.has(section.kind)) {
      this.#nameless.add(section.kind);
      return 'nameless';
    }
    return `mid ${trackMid(section)}`;
  }
}
