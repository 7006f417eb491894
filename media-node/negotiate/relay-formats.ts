/** What a relay's offer and answer have in common: how tracks, formats and header extensions are named between nodes. */
import { ProblemError } from '../../shared/errors.ts';
import type { ExtensionName } from './extensions.ts';
import type { Codec, Feedback, SourceTrackInfo } from './plan.ts';

/** A track that is relayed. */
export interface RelayedTrackInfo extends SourceTrackInfo {
  /** Tracks with the same value are one MediaStream. */
  stream: string;
}

/** Lost packets are asked for hop by hop, and keyframes; no bandwidth estimation, the origin has done that. */
export const RELAY_FEEDBACK: Feedback = { nack: true, pli: true, fir: false, remb: false, transportCc: false };

/** What tells the track, and what goes from a publisher's packets to its viewers' unchanged. */
const RELAY_EXTENSIONS: readonly ExtensionName[] = [
  'mid',
  'videoOrientation',
  'audioLevel',
  'dependencyDescriptor',
  'absCaptureTime',
  'playoutDelay',
  'colorSpace',
];
/** The same ids in every section, as RFC 8843 asks for. */
export const RELAY_EXTENSION_IDS: ReadonlyMap<ExtensionName, number> = new Map(
  RELAY_EXTENSIONS.map((name, index) => [name, index + 1]),
);

/** Dynamic payload types that RTCP is not mistaken for (RFC 5761 §4), in pairs: a format and its RTX. */
const PAYLOAD_TYPES = [...range(96, 127), ...range(35, 62)];

export interface RelayFormat {
  readonly payloadType: number;
  readonly rtxPayloadType: number;
}

/**
 * The payload types of each codec; tracks with the same codec and parameters share them. They are new numbers, and the
 * parameters stay to the letter, so that a viewer of the other node negotiates against exactly what the publisher sends.
 * @throws ProblemError 422 `too_many_codecs`
 */
export function relayFormats(codecs: readonly Codec[]): (codec: Codec) => RelayFormat {
  const formats = new Map<string, RelayFormat>();
  for (const codec of codecs) {
    const key = keyOf(codec);
    if (formats.has(key)) continue;
    const payloadType = PAYLOAD_TYPES[formats.size * 2];
    const rtxPayloadType = PAYLOAD_TYPES[formats.size * 2 + 1];
    if (payloadType === undefined || rtxPayloadType === undefined) {
      throw new ProblemError(422, 'too_many_codecs', 'the tracks have more formats than there are payload types');
    }
    formats.set(key, { payloadType, rtxPayloadType });
  }
  return (codec) => {
    const format = formats.get(keyOf(codec));
    if (format === undefined) throw new RangeError(`no payload type for ${codec.name}`);
    return format;
  };
}

function keyOf({ name, clockRate, channels, fmtp }: Codec): string {
  return `${name}/${clockRate}/${channels} ${fmtp}`;
}

function range(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}
