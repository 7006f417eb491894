/** The newest keyframe of a track, out of its ring: for a picture of what is shown now. */
import type { IngressStream } from './ingress-stream.ts';
import { MAX_DATAGRAM_BYTES } from './rtcp-mux.ts';
import { COPIED_EXTENSIONS, SourcePacket } from './source-packet.ts';
import { PublishedTrack } from './source-track.ts';
import type { SourceTrack } from './types.ts';

/** More than any keyframe has. */
const MAX_PACKETS = 4_096;
/** How far back is looked for a word about how the camera is held, when the keyframe has none. */
const MAX_EARLIER_PACKETS = 1_024;
const ORIENTATION = COPIED_EXTENSIONS.indexOf('videoOrientation');
const ROTATIONS = [0, 90, 180, 270] as const;

export interface KeyframePackets {
  /** In order, copied. */
  payloads: Buffer[];
  /** Degrees, clockwise, to stand upright: what was said last when it was taken (3GPP TS 26.114 §7.4.5). */
  rotation: (typeof ROTATIONS)[number];
}

/** Null when it is not whole (yet), or gone from the ring. */
export function newestKeyframe(source: SourceTrack): KeyframePackets | null {
  const stream = source instanceof PublishedTrack ? source.best : null;
  if (stream === null || stream.keyframeSequence < 0 || !stream.ring.has(stream.keyframeSequence)) return null;
  const timestamp = stream.ring.timestampOf(stream.keyframeSequence);
  const reader = new Reader(stream);
  const payloads: Buffer[] = [];
  let orientation = -1;
  const found = (): KeyframePackets => {
    const said = orientation < 0 ? orientationBefore(stream, reader) : orientation;
    return { payloads, rotation: ROTATIONS[said & 0x03] ?? 0 };
  };
  for (let sequence = stream.keyframeSequence; payloads.length < MAX_PACKETS; sequence++) {
    const packet = reader.read(sequence);
    if (packet === null) return null;
    if (stream.ring.timestampOf(sequence) !== timestamp) return found();
    if (packet.paddingOnly) continue;
    payloads.push(Buffer.from(packet.payload));
    orientation = orientationIn(packet) ?? orientation;
    if (packet.header.marker) return found();
  }
  return null;
}

/** Senders say it with each keyframe; those that do not have said it when it changed. 0: nobody said anything. */
function orientationBefore(stream: IngressStream, reader: Reader): number {
  const first = Math.max(0, stream.keyframeSequence - MAX_EARLIER_PACKETS);
  for (let sequence = stream.keyframeSequence - 1; sequence >= first; sequence--) {
    const packet = reader.read(sequence);
    const said = packet === null ? null : orientationIn(packet);
    if (said !== null) return said;
  }
  return 0;
}

function orientationIn({ extensionMask, extensionOffset, bytes }: SourcePacket): number | null {
  if ((extensionMask & (1 << ORIENTATION)) === 0) return null;
  return bytes[extensionOffset[ORIENTATION] as number] as number;
}

/** Packets out of the ring, one at a time. */
class Reader {
  readonly #stream: IngressStream;
  readonly #bytes = Buffer.alloc(MAX_DATAGRAM_BYTES);
  readonly #packet = new SourcePacket();

  constructor(stream: IngressStream) {
    this.#stream = stream;
  }

  /** Good until the next one is read; null when it is not there, or malformed. */
  read(sequence: number): SourcePacket | null {
    const { ring, extensionIds } = this.#stream;
    if (!ring.load(sequence, this.#bytes)) return null;
    return this.#packet.read(this.#bytes, ring.loadedLength, extensionIds) ? this.#packet : null;
  }
}

/** Asks the publisher for one. */
export function requestKeyframe(source: SourceTrack, nowMs: number): void {
  if (source instanceof PublishedTrack) source.best?.requestKeyframe('new-viewer', nowMs);
}
