/** What ffmpeg is told: an SDP of the RTP it gets (on standard input), and how to make FLV of it (on standard output). */
import type { Codec } from '../negotiate/plan.ts';

export interface FedTrack {
  codec: Codec;
  payloadType: number;
  /** Even; RTCP comes on the next one. */
  port: number;
}

/** What ffmpeg can take as RTP. */
export function isFeedable(codec: Codec): boolean {
  return codec.name !== 'AV1';
}

/** Other senders than this machine are filtered out: ffmpeg binds to all addresses. */
export function feedSdp(tracks: readonly FedTrack[]): string {
  const lines = ['v=0', 'o=- 0 0 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'];
  for (const { codec, payloadType, port } of tracks) {
    const channels = codec.channels > 1 ? `/${codec.channels}` : '';
    lines.push(`m=${codec.kind} ${port} RTP/AVP ${payloadType}`);
    lines.push('a=source-filter:incl IN IP4 127.0.0.1 127.0.0.1');
    lines.push(`a=rtpmap:${payloadType} ${codec.name}/${codec.clockRate}${channels}`);
    if (codec.fmtp !== '') lines.push(`a=fmtp:${payloadType} ${codec.fmtp}`);
    lines.push('a=recvonly');
  }
  return `${lines.join('\r\n')}\r\n`;
}

/** Upper bounds of the look at the input before the first packet leaves; it ends sooner when all is known. */
const ANALYZE_US = 3_000_000;
/** Packets may come this much out of order: they were repeated for us upstream. */
const REORDER_US = 300_000;
const SAMPLE_RATE = 48_000;

/** Encoding for the air: services want an even frame rate, one size and a keyframe every two seconds. */
const ENCODE_VIDEO = [
  ...['-vf', 'scale=1280:720:force_original_aspect_ratio=decrease,pad=1280:720:(ow-iw)/2:(oh-ih)/2,setsar=1,fps=30'],
  ...['-c:v', 'libx264', '-preset', 'veryfast', '-tune', 'zerolatency', '-profile:v', 'main', '-pix_fmt', 'yuv420p'],
  ...['-b:v', '2500k', '-maxrate', '2500k', '-bufsize', '5000k', '-g', '60', '-keyint_min', '30'],
];
const ENCODE_AUDIO = [
  // Fills what is missing and keeps in step with the pictures.
  ...['-af', 'aresample=async=1000:first_pts=0'],
  ...['-c:a', 'aac', '-b:a', '160k', '-ar', String(SAMPLE_RATE), '-ac', '2'],
];

export function ffmpegArguments(tracks: readonly FedTrack[]): string[] {
  const video = tracks.find(({ codec }) => codec.kind === 'video');
  const audio = tracks.find(({ codec }) => codec.kind === 'audio');
  return [
    ...['-hide_banner', '-nostdin', '-nostats', '-loglevel', 'warning'],
    ...['-protocol_whitelist', 'pipe,udp,rtp', '-fflags', '+genpts'],
    ...['-analyzeduration', String(ANALYZE_US), '-max_delay', String(REORDER_US)],
    ...['-f', 'sdp', '-i', 'pipe:0'],
    ...(video === undefined ? [] : ['-map', '0:v:0', ...videoArguments(video.codec)]),
    ...(audio === undefined ? [] : ['-map', '0:a:0', ...ENCODE_AUDIO]),
    ...['-max_muxing_queue_size', '1024', '-flush_packets', '1'],
    ...['-f', 'flv', '-flvflags', 'no_duration_filesize', 'pipe:1'],
  ];
}

/** H264 goes on the air as it is. */
export function isCopied(codec: Codec): boolean {
  return codec.name === 'H264';
}

function videoArguments(codec: Codec): string[] {
  return isCopied(codec) ? ['-c:v', 'copy'] : ENCODE_VIDEO;
}
