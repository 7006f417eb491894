import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { msFromNtp, ntpHigh, ntpLow } from './ntp.ts';
import { PublisherClock, TrackClock } from './sender-clock.ts';

const AUDIO_RATE = 48_000;
const VIDEO_RATE = 90_000;
/** The publisher's wall clock when ours is 0; far from ours on purpose. */
const PUBLISHER_EPOCH_MS = 1_763_000_000_000;

interface Track {
  clock: TrackClock;
  rate: number;
  /** RTP timestamp at the publisher's start. */
  base: number;
}

/** A publisher whose clock shows PUBLISHER_EPOCH_MS + t when ours shows t, with two tracks. */
function publisher(bases = { audio: 1000, video: 4_000_000_000 }) {
  const clock = new PublisherClock();
  const audio: Track = { clock: new TrackClock(AUDIO_RATE, clock), rate: AUDIO_RATE, base: bases.audio };
  const video: Track = { clock: new TrackClock(VIDEO_RATE, clock), rate: VIDEO_RATE, base: bases.video };
  return { clock, audio, video };
}

const rtpOf = (track: Track, tMs: number) => Math.round(track.base + (tMs * track.rate) / 1000) >>> 0;

/** A sender report made at `sentMs` that arrives after `delayMs`. */
function sendReport(track: Track, sentMs: number, delayMs: number, stepMs = 0): void {
  const epoch = PUBLISHER_EPOCH_MS + stepMs;
  track.clock.noteSenderReport(ntpHigh(sentMs, epoch), ntpLow(sentMs, epoch), rtpOf(track, sentMs), sentMs + delayMs);
}

/** The publisher's time, in ms, that the track's clock stands for at our time. */
function publisherTimeAt(track: Track, nowMs: number): number {
  const rtp = track.clock.rtpAt(nowMs) ?? Number.NaN;
  return (((rtp - rtpOf(track, nowMs)) | 0) * 1000) / track.rate + nowMs;
}

describe('TrackClock', () => {
  it('knows nothing before the first packet', () => {
    const { audio } = publisher();
    expect(audio.clock.rtpAt(1000)).toBeNull();
    expect(audio.clock.synchronized).toBe(false);
  });

  it('goes on from the last report at the clock rate, over the wrap of timestamps', () => {
    const { video } = publisher({ audio: 0, video: 2 ** 32 - 90_000 });
    sendReport(video, 500, 0);
    expect(video.clock.rtpAt(500)).toBe(2 ** 32 - 45_000);
    expect(video.clock.rtpAt(1500)).toBe(45_000);
    expect(video.clock.rtpAt(250)).toBe(2 ** 32 - 67_500);
  });

  it('is late by the smallest delay, and by the same for both tracks', () => {
    // Arrange
    const { audio, video } = publisher();
    sendReport(audio, 1000, 80);
    sendReport(video, 1200, 25);
    sendReport(audio, 2000, 40);
    // Act, assert
    expect(publisherTimeAt(audio, 3000)).toBeCloseTo(3000 - 25, 1);
    expect(publisherTimeAt(video, 3000)).toBeCloseTo(3000 - 25, 1);
  });

  it('keeps sound and picture together however the reports are delayed', () => {
    const reports = fc.array(
      fc.record({
        video: fc.boolean(),
        afterMs: fc.integer({ min: 1, max: 5000 }),
        delayMs: fc.double({ min: 0, max: 900, noNaN: true }),
      }),
      { minLength: 1, maxLength: 30 },
    );
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.nat(0xffffffff), reports, (audioBase, videoBase, list) => {
        // Arrange
        const { audio, video } = publisher({ audio: audioBase, video: videoBase });
        sendReport(audio, 0, 0);
        sendReport(video, 0, 0);
        let nowMs = 0;
        // Act, assert: at any time the two stand for the same moment at the publisher, to the rounding of both
        for (const report of list) {
          nowMs += report.afterMs;
          sendReport(report.video ? video : audio, nowMs, report.delayMs);
          const apart = publisherTimeAt(audio, nowMs + 1000) - publisherTimeAt(video, nowMs + 1000);
          expect(Math.abs(apart)).toBeLessThan(0.05);
        }
      }),
    );
  });

  it('follows clocks that drift apart', () => {
    // Arrange: the publisher's clock (NTP and RTP alike) runs 200 ppm fast for ten minutes
    const { audio } = publisher();
    for (let tMs = 0; tMs < 600_000; tMs += 5000) {
      const theirs = tMs * 1.0002;
      const epoch = PUBLISHER_EPOCH_MS;
      audio.clock.noteSenderReport(ntpHigh(theirs, epoch), ntpLow(theirs, epoch), rtpOf(audio, theirs), tMs + 10);
    }
    // Act
    const lateMs = 600_000 * 1.0002 - publisherTimeAt(audio, 600_000);
    // Assert: 10 ms of delay, and at most the drift within the window
    expect(lateMs).toBeGreaterThan(8);
    expect(lateMs).toBeLessThan(10 + 30_000 * 0.0002 + 1);
  });

  it('uses arrivals before the first report: the least delayed packet counts', () => {
    // Arrange
    const { audio } = publisher();
    for (const [tMs, delayMs] of [
      [0, 90],
      [20, 30],
      [40, 60],
    ] as const) {
      audio.clock.noteArrival(audio.base + (tMs * AUDIO_RATE) / 1000, tMs + delayMs);
    }
    // Act, assert
    expect(publisherTimeAt(audio, 1000)).toBeCloseTo(970, 1);
    expect(audio.clock.synchronized).toBe(false);
    sendReport(audio, 1000, 20);
    expect(audio.clock.synchronized).toBe(true);
    expect(publisherTimeAt(audio, 2000)).toBeCloseTo(1980, 1);
  });

  it('starts the fallback anew when timestamps jump', () => {
    const { audio } = publisher();
    audio.clock.noteArrival(1000, 0);
    audio.clock.noteArrival(50_000_000, 100);
    expect(audio.clock.rtpAt(200)).toBe(50_004_800);
  });

  it('does not mix reports from before and after the publisher set its clock', () => {
    // Arrange
    const { audio, video } = publisher();
    for (const track of [audio, video]) {
      track.clock.noteArrival(track.base, 5);
      sendReport(track, 0, 5);
    }
    // Act: one hour back; only the sound has reported since
    sendReport(audio, 5000, 5, -3_600_000);
    // Assert
    expect(video.clock.synchronized).toBe(false);
    expect(publisherTimeAt(audio, 6000)).toBeCloseTo(5995, 1);
    expect(publisherTimeAt(video, 6000)).toBeCloseTo(5995, 1);
    sendReport(video, 6000, 5, -3_600_000);
    expect(video.clock.synchronized).toBe(true);
    expect(publisherTimeAt(video, 7000)).toBeCloseTo(6995, 1);
  });

  it('ignores reports of senders without a clock', () => {
    const { clock, audio } = publisher();
    audio.clock.noteSenderReport(0, 0, 77, 100);
    clock.noteSenderReport(0, 0, 100);
    expect(audio.clock.rtpAt(100)).toBeNull();
    expect(clock.synchronized).toBe(false);
  });

  it('carries the relation of the publisher’s own reports into ours', () => {
    // Arrange: we report to the viewer at 3000 and at 3400, each track with its own time
    const { audio, video } = publisher();
    sendReport(audio, 1000, 12);
    sendReport(video, 1100, 12);
    const ourEpochMs = 1_800_000_000_000;
    const ours = (track: Track, nowMs: number) => ({
      ntpMs: msFromNtp(ntpHigh(nowMs, ourEpochMs), ntpLow(nowMs, ourEpochMs)),
      rtp: track.clock.rtpAt(nowMs) ?? Number.NaN,
    });
    const sound = ours(audio, 3000);
    const picture = ours(video, 3400);
    // Act: a viewer asks which video timestamp belongs to the audio sample of the report
    const videoRtp = picture.rtp + ((sound.ntpMs - picture.ntpMs) * VIDEO_RATE) / 1000;
    // Assert: the one that the publisher made at the same time as the sample
    const madeAtMs = ((sound.rtp - audio.base) * 1000) / AUDIO_RATE;
    expect(Math.abs((videoRtp - rtpOf(video, madeAtMs)) | 0)).toBeLessThanOrEqual(2);
  });
});
