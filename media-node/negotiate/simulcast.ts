/** What a publisher's section says about its encodings: rids (RFC 8853) and SSRCs (RFC 5576). */
import type { Attribute, MediaSection } from '../../shared/sdp/types.ts';
import type { ChosenFormat } from './codecs.ts';
import type { IngressTrackPlan } from './plan.ts';
import { attribute } from './transport-lines.ts';

/** More than any encoder announces in one section, legacy SSRC simulcast included. */
const MAX_SSRCS = 16;

export interface OfferedLayers {
  /** In the offer's order, lowest or highest first as the client likes. */
  readonly rids: readonly string[];
  /** `a=rid` and `a=simulcast` lines of the answer: every layer is taken, because OBS gives up when one is missing. */
  readonly attributes: readonly Attribute[];
}

/** The layers that can be sent in the chosen format: a rid may be bound to other payload types (RFC 8851 §5). */
export function readLayers(section: MediaSection, chosen: ChosenFormat): OfferedLayers {
  const declared = new Set<string>();
  for (const { id, direction, payloadTypes } of section.rids) {
    const fits = payloadTypes.length === 0 || payloadTypes.includes(chosen.payload.payloadType);
    if (direction === 'send' && fits) declared.add(id);
  }
  const streams = (section.simulcast?.send ?? [])
    .map((alternatives) => alternatives.filter((id) => declared.has(id)))
    .filter((alternatives) => alternatives.length > 0);
  // Rids without `a=simulcast` are plain names of streams.
  const rids = streams.length > 0 ? [...new Set(streams.flat())] : [...declared];
  const attributes = rids.map((id) => attribute('rid', `${id} recv`));
  if (streams.length > 0) {
    attributes.push(attribute('simulcast', `recv ${streams.map((ids) => ids.join(',')).join(';')}`));
  }
  return { rids, attributes };
}

/**
 * The SSRCs that carry media, each with its retransmission partner. Members of a `SIM` group come in its order; the
 * second ones of `FID` (RTX) and `FEC-FR` pairs are no streams of their own. FFmpeg names its RTX SSRC in the group
 * only.
 */
export function readSsrcs(section: MediaSection): IngressTrackPlan['ssrcs'] {
  const rtx = new Map<number, number>();
  const secondary = new Set<number>();
  const ordered: number[] = [];
  for (const { semantics, ssrcs } of section.ssrcGroups) {
    const [first, second] = ssrcs;
    if (semantics === 'SIM') ordered.push(...ssrcs);
    else if (first !== undefined && second !== undefined) {
      if (semantics === 'FID') rtx.set(first, second);
      secondary.add(second);
      ordered.push(first);
    }
  }
  const simulcast = section.ssrcGroups.filter((group) => group.semantics === 'SIM').flatMap((group) => group.ssrcs);
  const primaries = [...new Set([...simulcast, ...section.ssrcs, ...ordered])].filter((ssrc) => !secondary.has(ssrc));
  return primaries.slice(0, MAX_SSRCS).map((primary) => ({ primary, rtx: rtx.get(primary) ?? null }));
}
