/** What is sent again to a viewer whose line loses by chance, and to one whose line is too narrow for the only stream there is. */
import { describe, expect, it } from 'vitest';
import { WatchedLine } from './testing/watched-line.ts';

/** Until a full line is known to be one. */
const FIRST_SECONDS = 12;
const SECONDS = 15;
const NARROW = { rateBps: 1_900_000, queueMs: 300 };
const FREE = { rateBps: Number.POSITIVE_INFINITY };

describe.each([
  ['RTX', true],
  ['the same numbers again', false],
])('by %s', (_, withRtx) => {
  it('a line that is too narrow is not filled with repairs, and has all of them again when it is wide', () => {
    const viewer = new WatchedLine(1, withRtx);
    viewer.play(2);
    Object.assign(viewer.line, NARROW);
    viewer.play(FIRST_SECONDS);
    const narrow = viewer.play(SECONDS);
    // With all repairs: as many as packets of the stream, nothing whole in time, and a quarter of what arrives arrives twice.
    expect(narrow.repairs).toBeLessThan(0.3);
    expect(narrow.whole).toBeGreaterThan(0.3);
    expect(narrow.usefulBps).toBeGreaterThan(1_600_000);

    Object.assign(viewer.line, FREE, { loss: 0.1 });
    viewer.play(SECONDS);
    const free = viewer.play(SECONDS);
    expect(free.whole).toBeGreaterThan(0.98);
    expect(free.decoded).toBeGreaterThan(0.97);
  });

  it.each([
    ['a tenth', { loss: 0.1 }, 0.97],
    ['a third', { loss: 1 / 3 }, 0.8],
    // Each frame comes in one piece, and the queue does not hold it.
    ['what a short queue does not hold', { rateBps: 4_000_000, queueMs: 12 }, 0.97],
  ])('%s is repaired for as long as it is lost', (_name, line, decoded) => {
    const viewer = new WatchedLine(2, withRtx);
    viewer.play(2);
    Object.assign(viewer.line, line);
    viewer.play(FIRST_SECONDS);
    const seen = viewer.play(SECONDS);
    expect(seen.whole).toBeGreaterThan(0.97);
    expect(seen.decoded).toBeGreaterThan(decoded);
  });
});
