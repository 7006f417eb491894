/** WHIP: a publisher's offer → our answer and the plan of what it will send. Pure. */
import { ProblemError } from '../../shared/errors.ts';
import { bundleMids, isLive } from '../../shared/sdp/bundle.ts';
import { checkPublishOffer } from '../../shared/sdp/offer-rules.ts';
import type { MediaSection, MediaSource, SessionDescription, Setup } from '../../shared/sdp/types.ts';
import { choosePublished, readFeedback } from './codecs.ts';
import { acceptExtensions, extensionIds, INGRESS_EXTENSIONS } from './extensions.ts';
import { publishedFmtp } from './fmtp.ts';
import type { Feedback, IngressTrackPlan, LocalTransport, RemoteTransport } from './plan.ts';
import { bundleOrder, liveSection, printDescription, rejectedSection, trackMid } from './sections.ts';
import { readLayers, readSsrcs } from './simulcast.ts';
import { readRemoteTransport, roleAsAnswerer } from './transport-lines.ts';

const INGRESS_FEEDBACK: Feedback = { nack: true, pli: true, fir: true, remb: true, transportCc: true };

export interface PublishAnswer {
  /** SDP text */
  answer: string;
  remote: RemoteTransport;
  tracks: IngressTrackPlan[];
  /** Of the accepted m-sections, the BUNDLE-tagged one first; empty when a lone section has none. */
  mids: string[];
}

/**
 * Takes the offer whole: one codec per section, the offer's first one that is forwarded, so that what viewers negotiate
 * against is certain; every simulcast layer; a data channel beside the tracks is rejected by port 0.
 * @throws ProblemError 400 and 422 of `checkPublishOffer`; 422 `no_common_codec`
 */
export function answerPublish(offer: SessionDescription, local: LocalTransport): PublishAnswer {
  checkPublishOffer(offer);
  const remote = readRemoteTransport(offer, roleAsAnswerer);
  const accepted = offer.media.filter(isAccepted);
  const { mids, bundled } = bundleOrder(accepted, bundleMids(offer));
  const setup: Setup = remote.dtlsRole === 'client' ? 'active' : 'passive';
  const tracks: IngressTrackPlan[] = [];
  const media = offer.media.map((section): MediaSource => {
    if (!isAccepted(section)) return rejectedSection(section);
    const { track, source } = answerSection(section, setup, local, section.mid === (mids[0] ?? null));
    tracks.push(track);
    return source;
  });
  return { answer: printDescription(media, bundled, local, offer.extmapAllowMixed), remote, tracks, mids };
}

function isAccepted(section: MediaSection): boolean {
  return isLive(section) && (section.kind === 'audio' || section.kind === 'video');
}

function answerSection(
  section: MediaSection,
  setup: Setup,
  local: LocalTransport,
  tagged: boolean,
): { track: IngressTrackPlan; source: MediaSource } {
  const chosen = choosePublished(section);
  if (chosen === null) {
    throw new ProblemError(422, 'no_common_codec', `the offer holds no ${section.kind} codec that is supported here`);
  }
  const { codec, payload, rtx } = chosen;
  const feedback = readFeedback(payload, INGRESS_FEEDBACK);
  const extensions = acceptExtensions(section, INGRESS_EXTENSIONS, 'recvonly');
  const layers = readLayers(section, chosen);
  const payloads = [{ format: payload, fmtp: publishedFmtp(codec), feedback }];
  const track: IngressTrackPlan = {
    mid: trackMid(section),
    kind: codec.kind,
    codec,
    payloadType: payload.payloadType,
    rtxPayloadType: rtx?.payloadType ?? null,
    extensions: extensionIds(extensions),
    feedback,
    rids: layers.rids,
    ssrcs: readSsrcs(section),
  };
  const source = liveSection(
    {
      kind: section.kind,
      protocol: section.protocol,
      mid: section.mid,
      direction: 'recvonly',
      setup,
      payloads: rtx === null ? payloads : [...payloads, { format: rtx, fmtp: rtx.fmtp, feedback: null }],
      extensions,
      rtcpRsize: section.rtcpRsize,
      extra: layers.attributes,
    },
    local,
    tagged,
  );
  return { track, source };
}
