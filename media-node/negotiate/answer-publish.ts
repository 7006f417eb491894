/** WHIP: a publisher's offer → our answer and the plan of what it will send. Pure. */
import { bundleMids, isLive } from '../../shared/sdp/bundle.ts';
import { checkPublishOffer } from '../../shared/sdp/offer-rules.ts';
import type { MediaSection, MediaSource, SessionDescription, Setup } from '../../shared/sdp/types.ts';
import { dataChannelSection, findDataChannel } from './data-channel-section.ts';
import { answerIngressSection } from './ingress-section.ts';
import type { DataChannelPlan, IngressTrackPlan, LocalTransport, RemoteTransport } from './plan.ts';
import { bundleOrder, printDescription, rejectedSection } from './sections.ts';
import { readRemoteTransport, roleAsAnswerer } from './transport-lines.ts';

export interface PublishAnswer {
  /** SDP text */
  answer: string;
  remote: RemoteTransport;
  tracks: IngressTrackPlan[];
  /** Null when the offer has none. */
  dataChannel: DataChannelPlan | null;
  /** Of the accepted m-sections, the BUNDLE-tagged one first; empty when a lone section has none. */
  mids: string[];
}

/**
 * Takes the offer whole: one codec per section, the offer's first one that is forwarded, so that what viewers negotiate
 * against is certain; every simulcast layer; a data channel beside the tracks.
 * @throws ProblemError 400 and 422 of `checkPublishOffer`; 422 `no_common_codec`
 */
export function answerPublish(offer: SessionDescription, local: LocalTransport): PublishAnswer {
  checkPublishOffer(offer);
  const remote = readRemoteTransport(offer, roleAsAnswerer);
  const bundle = bundleMids(offer);
  const channel = findDataChannel(offer.media, bundle);
  const accepted = offer.media.filter((section) => isAccepted(section) || section === channel?.section);
  const { mids, bundled } = bundleOrder(accepted, bundle);
  const setup: Setup = remote.dtlsRole === 'client' ? 'active' : 'passive';
  const tracks: IngressTrackPlan[] = [];
  const media = offer.media.map((section): MediaSource => {
    const tagged = section.mid === (mids[0] ?? null);
    if (section === channel?.section) return dataChannelSection(section.mid, section.protocol, setup, local, tagged);
    if (!isAccepted(section)) return rejectedSection(section);
    const { track, source } = answerIngressSection(section, setup, local, tagged);
    tracks.push(track);
    return source;
  });
  const answer = printDescription(media, bundled, local, offer.extmapAllowMixed);
  return { answer, remote, tracks, dataChannel: channel?.plan ?? null, mids };
}

function isAccepted(section: MediaSection): boolean {
  return isLive(section) && (section.kind === 'audio' || section.kind === 'video');
}
