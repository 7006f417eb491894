/** The newest keyframe of a track, out of its ring: for a picture of what is shown now. */
import { MAX_DATAGRAM_BYTES } from './rtcp-mux.ts';
import { SourcePacket } from './source-packet.ts';
import { PublishedTrack } from './source-track.ts';
import type { SourceTrack } from './types.ts';

/** More than any keyframe has. */
const MAX_PACKETS = 4_096;

/** The payloads of its packets in order, copied; null when it is not whole (yet), or gone from the ring. */
export function keyframePayloads(source: SourceTrack): Buffer[] | null {
  const stream = source instanceof PublishedTrack ? source.best : null;
  if (stream === null || stream.keyframeSequence < 0 || !stream.ring.has(stream.keyframeSequence)) return null;
  const timestamp = stream.ring.timestampOf(stream.keyframeSequence);
  const bytes = Buffer.alloc(MAX_DATAGRAM_BYTES);
  const packet = new SourcePacket();
  const payloads: Buffer[] = [];
  for (let sequence = stream.keyframeSequence; payloads.length < MAX_PACKETS; sequence++) {
    if (!stream.ring.load(sequence, bytes)) return null;
    if (stream.ring.timestampOf(sequence) !== timestamp) return payloads;
    if (!packet.read(bytes, stream.ring.loadedLength, stream.extensionIds)) return null;
    if (packet.paddingOnly) continue;
    payloads.push(Buffer.from(packet.payload));
    if (packet.header.marker) return payloads;
  }
  return null;
}

/** Asks the publisher for one. */
export function requestKeyframe(source: SourceTrack, nowMs: number): void {
  if (source instanceof PublishedTrack) source.best?.requestKeyframe('new-viewer', nowMs);
}
