/** Opus in Ogg (RFC 7845): packets out of pages, each with the time that its own first byte tells. */
import { MediaFileError, type MediaFrame, type MediaTrack } from './media-track.ts';

const OPUS_CLOCK_RATE = 48_000;
const PAGE_HEADER_BYTES = 27;
const FULL_SEGMENT = 255;
/** RFC 6716 §3.1: SILK and CELT frames, in ms. */
const SILK_MS = [10, 20, 40, 60];
const HYBRID_MS = [10, 20];
const CELT_MS = [2.5, 5, 10, 20];

/** @throws MediaFileError */
export function readOggOpus(data: Buffer): MediaTrack {
  const packets = oggPackets(data);
  if (packets[0]?.toString('latin1', 0, 8) !== 'OpusHead') throw new MediaFileError('it is no Ogg with Opus');
  const frames: MediaFrame[] = [];
  let atMs = 0;
  // The first two packets are headers.
  for (const packet of packets.slice(2)) {
    if (packet.length === 0) continue;
    frames.push({ parts: [packet], isKeyframe: true, sendMs: atMs, presentMs: atMs });
    atMs += opusMs(packet);
  }
  if (frames.length === 0) throw new MediaFileError('no Opus packet in it');
  return { codec: 'opus', clockRate: OPUS_CLOCK_RATE, frames, durationMs: atMs };
}

function oggPackets(data: Buffer): Buffer[] {
  const packets: Buffer[] = [];
  let open: Buffer[] = [];
  for (let at = 0; at + PAGE_HEADER_BYTES <= data.length; ) {
    if (data.toString('latin1', at, at + 4) !== 'OggS') throw new MediaFileError('it is no Ogg');
    const count = data.readUInt8(at + 26);
    const sizes = data.subarray(at + PAGE_HEADER_BYTES, at + PAGE_HEADER_BYTES + count);
    at += PAGE_HEADER_BYTES + count;
    for (const size of sizes) {
      open.push(data.subarray(at, at + size));
      at += size;
      if (size === FULL_SEGMENT) continue;
      packets.push(Buffer.concat(open));
      open = [];
    }
  }
  return packets;
}

/** Length of an Opus packet by its first byte or two. */
export function opusMs(packet: Buffer): number {
  const toc = packet[0] ?? 0;
  const config = toc >> 3;
  const frameMs = config < 12 ? SILK_MS[config & 3] : config < 16 ? HYBRID_MS[config & 1] : CELT_MS[config & 3];
  const code = toc & 3;
  const count = code === 0 ? 1 : code < 3 ? 2 : (packet[1] ?? 0) & 0x3f;
  return (frameMs ?? 20) * count;
}
