/**
 * Where a frame lies in a file. One track leads: its RTP clock is the file's clock, from first to last. The others are
 * laid beside it by what the sender reports say of both. Reports may come late (browsers send the first one for sound
 * after seconds) and correct what was believed before: that moves the others, by what they were wrong, and never the lead.
 */

/** Below this a correction is noise of the reports. */
const NOISE_MS = 4;

export interface TimedTrack {
  readonly clockRate: number;
  /** Unix ms of RTP time 0 as it is believed now. */
  readonly offsetMs: number;
}

export class Timeline {
  readonly #lead: TimedTrack;
  /** Unix ms of RTP time 0 of the lead, as it was believed at the start. */
  readonly #leadOffsetMs: number;
  readonly #startMs: number;
  /** How far each track's RTP time 0 lies after the lead's, ms. */
  readonly #distancesMs = new Map<TimedTrack, number>();

  /** @param startMs Unix ms, by the same belief, that is time 0 of the file */
  constructor(lead: TimedTrack, startMs: number) {
    this.#lead = lead;
    this.#leadOffsetMs = lead.offsetMs;
    this.#startMs = startMs;
  }

  /** Takes over what the reports say by now. */
  correct(track: TimedTrack): void {
    if (track === this.#lead) return;
    const distanceMs = track.offsetMs - this.#lead.offsetMs;
    const known = this.#distancesMs.get(track);
    if (known === undefined || Math.abs(distanceMs - known) > NOISE_MS) this.#distancesMs.set(track, distanceMs);
  }

  /** Milliseconds since the start of the file. @param rtp extended */
  timeMs(track: TimedTrack, rtp: number): number {
    if (track !== this.#lead && !this.#distancesMs.has(track)) this.correct(track);
    const distanceMs = this.#distancesMs.get(track) ?? 0;
    return (rtp * 1000) / track.clockRate + this.#leadOffsetMs + distanceMs - this.#startMs;
  }
}
