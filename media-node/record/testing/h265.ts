/** H.265 as a publisher sends it: made by a real encoder, cut into payloads (RFC 7798 §4.4). */
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';

/** The ffmpeg of the tests. */
export const FFMPEG = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const START_CODE = Buffer.from([0, 0, 1]);
const PAYLOAD_BYTES = 1_000;
const FRAGMENT = 49;
const DELIMITER = 35;
const MAX_STREAM_BYTES = 16 * 1024 * 1024;

/** Pictures of 30 per second, a keyframe each second; each one as its payloads. @param draw what is drawn upon them, for ffmpeg */
export async function h265Pictures(size: string, count: number, draw = 'null'): Promise<Buffer[][]> {
  const picture = `testsrc=size=${size}:rate=30,${draw}`;
  const source = ['-v', 'error', '-f', 'lavfi', '-i', picture, '-frames:v', String(count)];
  const parameters = 'log-level=none:aud=1:repeat-headers=1:bframes=0:keyint=30:min-keyint=30:scenecut=0';
  const coded = ['-c:v', 'libx265', '-preset', 'ultrafast', '-x265-params', parameters, '-pix_fmt', 'yuv420p'];
  const { stdout } = await promisify(execFile)(FFMPEG, [...source, ...coded, '-f', 'hevc', 'pipe:1'], {
    ...{ encoding: 'buffer', maxBuffer: MAX_STREAM_BYTES },
  });
  const pictures: Buffer[][] = [];
  for (const unit of unitsOf(stdout)) {
    if ((((unit[0] ?? 0) >> 1) & 0x3f) === DELIMITER) pictures.push([]);
    pictures.at(-1)?.push(...payloadsOf(unit));
  }
  return pictures;
}

function unitsOf(stream: Buffer): Buffer[] {
  const units: Buffer[] = [];
  for (let at = stream.indexOf(START_CODE); at >= 0; ) {
    const next = stream.indexOf(START_CODE, at + START_CODE.length);
    let end = next < 0 ? stream.length : next;
    while (stream[end - 1] === 0) end--;
    units.push(stream.subarray(at + START_CODE.length, end));
    at = next;
  }
  return units;
}

function payloadsOf(unit: Buffer): Buffer[] {
  if (unit.length <= PAYLOAD_BYTES) return [unit];
  const [first = 0, second = 0] = unit;
  const pieces: Buffer[] = [];
  for (let at = 2; at < unit.length; at += PAYLOAD_BYTES) {
    const ends = (at === 2 ? 0x80 : 0) | (at + PAYLOAD_BYTES >= unit.length ? 0x40 : 0);
    const head = Buffer.of((first & 0x81) | (FRAGMENT << 1), second, ends | ((first >> 1) & 0x3f));
    pieces.push(Buffer.concat([head, unit.subarray(at, at + PAYLOAD_BYTES)]));
  }
  return pieces;
}
