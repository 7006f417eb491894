/** Where a file has the frames of synthetic publishers, against when those were published. */
import type { OutgoingTrack } from '../../support/client/outgoing-track.ts';
import type { RecordedTrackFacts } from './recorded.ts';

export interface PlacedFrame {
  number: number;
  /** Of the file, seconds. */
  atS: number;
  /** From when it was due at the publisher (`performance.now()`) to its time in the file: the same for all, if that is honest. */
  offsetMs: number;
}

const MS_PER_S = 1_000;

/**
 * The frames of each publisher that follow each other in one file, in the order of the publishers.
 * @throws when there are more publishers in the file than were given
 */
export function placedFrames(
  { timesS, numbers }: RecordedTrackFacts,
  publishers: readonly OutgoingTrack[],
): PlacedFrame[][] {
  const placed: PlacedFrame[][] = publishers.map(() => []);
  let at = 0;
  let last = -1;
  for (const [index, number] of numbers.entries()) {
    // Lead-in, or a frame whose beginning has no number.
    if (Number.isNaN(number)) continue;
    if (number <= last) at++;
    last = number;
    const publisher = publishers[at];
    const startMs = publisher?.sentAtMs(0);
    const rate = publisher?.layers[0]?.source.framesPerSecond;
    if (startMs === undefined || rate === undefined) throw new Error(`frame ${number}: of which publisher?`);
    const atS = timesS[index] ?? Number.NaN;
    placed[at]?.push({ number, atS, offsetMs: atS * MS_PER_S - startMs - (number * MS_PER_S) / rate });
  }
  return placed;
}
