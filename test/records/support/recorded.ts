/** What an independent demuxer and its decoders find in a recorded file. */
import { Decoder, Demuxer } from 'node-av/api';

export interface RecordedTrackFacts {
  kind: 'audio' | 'video';
  codec: string;
  packets: number;
  decoded: number;
  firstS: number;
  /** End of the last packet. */
  endS: number;
  /** Presentation times of the packets, seconds. */
  timesS: number[];
  /** Of the largest distance between two packets, seconds. */
  largestGapS: number;
  sizes: string[];
}

export interface RecordedFacts {
  durationS: number;
  tracks: RecordedTrackFacts[];
}

const FFMPEG_VIDEO = 0;

/** Reads the whole file and decodes every packet. @throws what the demuxer or a decoder throws */
export async function readRecorded(path: string): Promise<RecordedFacts> {
  const input = await Demuxer.open(path);
  const tracks: RecordedTrackFacts[] = [];
  try {
    for (const stream of input.streams) {
      tracks[stream.index] = {
        kind: stream.codecpar.codecType === FFMPEG_VIDEO ? 'video' : 'audio',
        codec: String(stream.codecpar.codecId),
        packets: 0,
        decoded: 0,
        firstS: Number.NaN,
        endS: 0,
        timesS: [],
        largestGapS: 0,
        sizes: [],
      };
    }
    const durationS = input.duration;
    for await (const packet of input.packets()) {
      if (packet === null) break;
      const track = tracks[packet.streamIndex];
      const stream = input.streams[packet.streamIndex];
      if (track === undefined || stream === undefined) continue;
      const unit = stream.timeBase.num / stream.timeBase.den;
      const time = Number(packet.pts) * unit;
      const last = track.timesS.at(-1);
      if (last !== undefined) track.largestGapS = Math.max(track.largestGapS, time - last);
      if (Number.isNaN(track.firstS)) track.firstS = time;
      track.timesS.push(time);
      track.packets++;
      track.endS = Math.max(track.endS, time + Number(packet.duration) * unit);
    }
    await input.close();
    for (const index of tracks.keys()) await decodeAll(path, index, tracks[index] as RecordedTrackFacts);
    return { durationS, tracks };
  } finally {
    await input.close();
  }
}

async function decodeAll(path: string, index: number, facts: RecordedTrackFacts): Promise<void> {
  const input = await Demuxer.open(path);
  try {
    const stream = input.streams[index];
    if (stream === undefined) return;
    const decoder = await Decoder.create(stream, { exitOnError: true });
    for await (const frame of decoder.frames(input.packets(index))) {
      if (frame === null) break;
      facts.decoded++;
      const size = `${frame.width}x${frame.height}`;
      if (facts.kind === 'video' && facts.sizes.at(-1) !== size) facts.sizes.push(size);
      frame.free();
    }
    decoder.close();
  } finally {
    await input.close();
  }
}
