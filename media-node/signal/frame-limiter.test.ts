import { expect, it } from 'vitest';
import { FrameLimiter, type FrameVerdict, MAX_FRAME_BYTES, MAX_FRAMES_PER_SECOND } from './frame-limiter.ts';

/** Verdicts on `count` frames, evenly over one second from `fromMs` on. */
function second(limiter: FrameLimiter, fromMs: number, count: number): FrameVerdict[] {
  return Array.from({ length: count }, (_, i) => limiter.judge(100, fromMs + (i * 999) / count));
}

it('takes what a client sends, and ignores the rest of a second that has too much', () => {
  const limiter = new FrameLimiter();
  expect(new Set(second(limiter, 0, MAX_FRAMES_PER_SECOND))).toEqual(new Set(['take']));
  const flood = second(limiter, 1_000, MAX_FRAMES_PER_SECOND + 50);
  expect(flood.filter((verdict) => verdict === 'ignore')).toHaveLength(50);
  expect(limiter.judge(100, 2_000)).toBe('take');
});

it('ignores a long frame, whatever the rate', () => {
  const limiter = new FrameLimiter();
  expect([limiter.judge(MAX_FRAME_BYTES, 0), limiter.judge(MAX_FRAME_BYTES + 1, 1)]).toEqual(['take', 'ignore']);
});

it('gives up a member that floods for ten seconds, but not one that rests between', () => {
  const limiter = new FrameLimiter();
  for (let i = 0; i < 10; i++) expect(second(limiter, i * 1_000, 10_000)).not.toContain('end');
  expect(limiter.judge(100, 10_000)).toBe('end');

  const patient = new FrameLimiter();
  for (let i = 0; i < 30; i++) expect(second(patient, i * 2_000, 10_000)).not.toContain('end');
});
