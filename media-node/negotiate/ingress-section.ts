/** One section of a publisher's offer → ours of the answer, and the plan of what it will send. */
import { ProblemError } from '../../shared/errors.ts';
import type { MediaSection, MediaSource, Setup } from '../../shared/sdp/types.ts';
import { choosePublished, readFeedback } from './codecs.ts';
import { acceptExtensions, extensionIds, INGRESS_EXTENSIONS } from './extensions.ts';
import { publishedFmtp } from './fmtp.ts';
import type { Feedback, IngressTrackPlan, LocalTransport } from './plan.ts';
import { liveSection, trackMid } from './sections.ts';
import { readLayers, readSsrcs } from './simulcast.ts';

const INGRESS_FEEDBACK: Feedback = { nack: true, pli: true, fir: true, remb: true, transportCc: true };

/** @throws ProblemError 422 `no_common_codec` */
export function answerIngressSection(
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
