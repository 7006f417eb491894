/**
 * Makes a short clip as ffmpeg and OBS would send it: H264 constrained baseline without B-frames and Opus in stereo.
 * Arguments: output file, seconds, frames between keyframes, and `marks` for a white picture and a tone that begin together every second. A process of its own, so that no test process loads FFmpeg.
 */
import { Decoder, Demuxer, Encoder, FilterAPI, Muxer } from 'node-av/api';
import { FF_ENCODER_LIBOPUS, FF_ENCODER_LIBX264 } from 'node-av/constants';
import type { Packet } from 'node-av/lib';

const FRAME_RATE = 30;
const [target, secondsText, gopText, marks] = process.argv.slice(2);
if (target === undefined) throw new Error('usage: make-clip.ts FILE SECONDS GOP_FRAMES');
const seconds = Number(secondsText ?? 10);
const gopFrames = Number(gopText ?? 60);

const isMark = 'lt(mod(t\\,1)\\,0.1)';
const flashes = marks === 'marks' ? `,drawbox=c=white:t=fill:enable='${isMark}'` : '';
const sound =
  marks === 'marks'
    ? `aevalsrc=0.5*sin(2*PI*1000*t)*${isMark}:s=48000:n=960`
    : 'sine=f=440:r=48000:samples_per_frame=960';
const picture = await Demuxer.open(`testsrc2=s=640x360:r=${FRAME_RATE}${flashes},format=yuv420p`, { format: 'lavfi' });
const tone = await Demuxer.open(sound, { format: 'lavfi' });
const pictureStream = picture.video();
const toneStream = tone.audio();
if (pictureStream === undefined || toneStream === undefined) throw new Error('the test sources have no stream');

const videoDecoder = await Decoder.create(pictureStream);
const audioDecoder = await Decoder.create(toneStream);
const videoEncoder = await Encoder.create(FF_ENCODER_LIBX264, {
  decoder: videoDecoder,
  bitrate: '1M',
  gopSize: gopFrames,
  maxBFrames: 0,
  options: { profile: 'baseline', preset: 'veryfast', tune: 'zerolatency', sc_threshold: 0 },
});
const stereo = FilterAPI.create('aresample=48000,aformat=sample_fmts=flt:channel_layouts=stereo,asetnsamples=960');
const audioEncoder = await Encoder.create(FF_ENCODER_LIBOPUS, {
  decoder: audioDecoder,
  filter: stereo,
  bitrate: '64k',
});

const out = await Muxer.open(target, { format: 'matroska' });
const video = videoEncoder.packets(videoDecoder.frames(cut(picture.packets())));
const audio = audioEncoder.packets(stereo.frames(audioDecoder.frames(cut(tone.packets()))));
const videoIndex = out.addStream(videoEncoder);
const audioIndex = out.addStream(audioEncoder);
await Promise.all([write(video, videoIndex), write(audio, audioIndex)]);
await out.close();
await picture.close();
await tone.close();

/** The sources have no end of their own. */
async function* cut(packets: AsyncIterable<Packet | null>): AsyncGenerator<Packet | null> {
  for await (const packet of packets) {
    if (packet === null) break;
    const { num, den } = packet.timeBase;
    if ((Number(packet.pts) * num) / den >= seconds) break;
    yield packet;
  }
  yield null;
}

async function write(packets: AsyncIterable<Packet | null>, index: number): Promise<void> {
  for await (const packet of packets) if (packet !== null) await out.writePacket(packet, index);
}
