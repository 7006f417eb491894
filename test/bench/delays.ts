import type { IncomingTrack } from '../support/client/incoming-track.ts';
import type { OutgoingTrack } from '../support/client/outgoing-track.ts';

/** Of frames that were sent in the window: from the moment of sending to the arrival of the packet that names it. */
export function delaysBetween(
  sent: OutgoingTrack,
  tracks: readonly IncomingTrack[],
  fromMs: number,
  toMs: number,
): number[] {
  return tracks.flatMap(({ frames }) =>
    frames.flatMap(({ number, arrivedMs }) => {
      const sentMs = sent.sentAtMs(number);
      return sentMs === undefined || sentMs < fromMs || sentMs > toMs ? [] : [arrivedMs - sentMs];
    }),
  );
}
