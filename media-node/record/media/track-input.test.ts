import { expect, it } from 'vitest';
import { TrackInput } from './track-input.ts';

/** A descriptor, then a frame tag, the start code, 640 and 360. */
const KEY = Buffer.from('10100200009d012a8002680100', 'hex');
const DELTA = Buffer.from([0x10, 0x31, 0, 0]);

/** Pictures of one packet each: a letter each, capital when it is marked: K and k are keyframes. */
function picturesOf(packets: string): boolean[] {
  const keys: boolean[] = [];
  const events = { onFrame: ({ key }: { key: boolean }) => void keys.push(key), onNeedKeyframe: () => {} };
  const input = new TrackInput({ name: 'VP8', kind: 'video', clockRate: 90_000 }, events);
  for (const [at, letter] of [...packets].entries()) {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header[1] = 96 | (letter === letter.toUpperCase() ? 0x80 : 0);
    header.writeUInt16BE(at, 2);
    header.writeUInt32BE(at * 3_000, 4);
    input.push(Buffer.concat([header, letter.toLowerCase() === 'k' ? KEY : DELTA]), at * 33);
  }
  return keys;
}

it.each([
  ['all marked', 'KDKD', [true, false, true, false]],
  ['cut off before a keyframe, by one who marks', 'KDdKD', [true, false, true, false]],
  // The newest one is not known to be whole.
  ['never marked: the next one says that it has ended', 'kdkdd', [true, false, true, false]],
  ['one mark that is missing, and no keyframe', 'KdD', [true, false, false]],
])('%s', (_, packets, keys) => {
  expect(picturesOf(packets)).toEqual(keys);
});
