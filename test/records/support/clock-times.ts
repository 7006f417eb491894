/** When the pictures of a recorded file were taken, by the clock of the page that sent them. */
import { Decoder, Demuxer } from 'node-av/api';
import { readClockMs } from './clock-picture.ts';

export interface ClockTime {
  /** Of the file, seconds. */
  atS: number;
  /** Of the page. */
  clockMs: number;
}

/** @throws what the demuxer or the decoder throws */
export async function clockTimes(path: string): Promise<ClockTime[]> {
  const input = await Demuxer.open(path);
  try {
    const stream = input.video();
    if (stream === undefined) throw new Error(`${path} has no video`);
    const decoder = await Decoder.create(stream, { exitOnError: true });
    const times: ClockTime[] = [];
    for await (const frame of decoder.frames(input.packets(stream.index))) {
      if (frame === null) break;
      const [luma] = frame.data ?? [];
      if (luma === undefined) throw new Error('a frame without a picture');
      const clockMs = readClockMs(luma, frame.linesize[0] ?? 0);
      times.push({ atS: (Number(frame.pts) * frame.timeBase.num) / frame.timeBase.den, clockMs });
      frame.free();
    }
    decoder.close();
    return times;
  } finally {
    await input.close();
  }
}
