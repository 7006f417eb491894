/** The payload types of a listener's session: one for each codec with its parameters, kept as long as the session. */
import { readFormatParameters } from '../../shared/sdp/payloads.ts';
import type { PayloadFormat } from '../../shared/sdp/types.ts';
import { choosePlayed } from './codecs.ts';
import type { ListenerFormat, ListenerSdp } from './listener-sdp.ts';
import { offeredFmtps, STATIC_PAYLOAD_TYPES } from './offer-play.ts';
import type { Codec } from './plan.ts';

/** Dynamic payload types (RFC 3551 §6), then those that RTP and RTCP mux leave besides (RFC 5761 §4, RFC 8843 §10). */
const DYNAMIC_PAYLOAD_TYPES: readonly number[] = [...range(96, 127), ...range(35, 63)];

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/**
 * Payload types for a source's codec, in order of preference, and the table that has them.
 * @param used payload types of tracks that stay; those of others may be given away when there are no more
 */
export function formatsFor(
  state: Pick<ListenerSdp, 'formats' | 'peerFormats' | 'reserved'>,
  codec: Codec,
  used: ReadonlySet<number>,
): { formats: readonly ListenerFormat[]; payloadTypes: number[] } {
  if (state.peerFormats) {
    const chosen = choosePlayed(codec, { kind: codec.kind, payloads: state.formats.map(toPayload) });
    if (chosen !== null) return { formats: state.formats, payloadTypes: [chosen.payload.payloadType] };
  }
  let { formats } = state;
  const payloadTypes: number[] = [];
  for (const fmtp of offeredFmtps(codec)) {
    const wanted = { ...codec, fmtp };
    let found = formats.find((format) => isSameCodec(format.codec, wanted));
    if (found === undefined) {
      const keep = new Set([...used, ...payloadTypes]);
      const made = allocate(wanted, formats, state.reserved, keep);
      if (made === null) continue;
      found = made.format;
      formats = made.formats;
    }
    payloadTypes.push(found.payloadType);
  }
  if (payloadTypes.length > 0) return { formats, payloadTypes };
  // All payload types carry something: better under other parameters than not at all.
  const similar = formats.find((format) => format.codec.name === codec.name);
  return { formats, payloadTypes: similar === undefined ? [] : [similar.payloadType] };
}

function allocate(
  codec: Codec,
  formats: readonly ListenerFormat[],
  reserved: readonly number[],
  used: ReadonlySet<number>,
): { format: ListenerFormat; formats: ListenerFormat[] } | null {
  const count = codec.kind === 'video' ? 2 : 1;
  const free = (table: readonly ListenerFormat[]): number[] => {
    const taken = new Set(reserved);
    for (const format of table) taken.add(format.payloadType).add(format.rtxPayloadType ?? format.payloadType);
    const fixed = STATIC_PAYLOAD_TYPES[codec.name];
    return [...(fixed === undefined ? [] : [fixed]), ...DYNAMIC_PAYLOAD_TYPES].filter((each) => !taken.has(each));
  };
  let kept = [...formats];
  let [payloadType, rtxPayloadType] = free(kept);
  if (free(kept).length < count) {
    kept = kept.filter((format) => used.has(format.payloadType));
    [payloadType, rtxPayloadType] = free(kept);
  }
  if (payloadType === undefined || (count === 2 && rtxPayloadType === undefined)) return null;
  const format: ListenerFormat = {
    payloadType,
    rtxPayloadType: count === 2 ? (rtxPayloadType ?? null) : null,
    codec,
  };
  return { format, formats: [...kept, format] };
}

/** Parameters in any order, in any spelling of their names. */
function isSameCodec(a: Codec, b: Codec): boolean {
  if (a.name !== b.name) return false;
  const key = (codec: Codec): string =>
    [...readFormatParameters(codec.fmtp)]
      .map(([name, value]) => `${name}=${value}`)
      .sort()
      .join(';');
  return key(a) === key(b);
}

export function toPayload({ payloadType, codec }: ListenerFormat): PayloadFormat {
  const { name, clockRate, channels, fmtp } = codec;
  return { payloadType, encoding: name, clockRate, channels, fmtp, feedback: [] };
}
