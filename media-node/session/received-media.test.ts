/** When there is something to show of what is received. */
import { describe, expect, it } from 'vitest';
import type { IngressTrackStats, LayerStats } from '../forward/types.ts';
import { showsSomething } from './received-media.ts';

describe('something is shown', () => {
  const stats = (kind: 'audio' | 'video', packets: number, keyframes = 0): IngressTrackStats => ({
    mid: kind,
    kind,
    layers: [{ packets, keyframes } as LayerStats],
  });

  it.each([
    ['nothing', [], false],
    ['sound alone, from its first packet', [stats('audio', 1)], true],
    ['sound that has not begun', [stats('audio', 0)], false],
    ['a picture without a keyframe, though there is sound', [stats('audio', 9), stats('video', 9)], false],
    ['a picture with a keyframe', [stats('audio', 0), stats('video', 9, 1)], true],
  ])('%s', (_, tracks, expected) => {
    expect(showsSomething(tracks)).toBe(expected);
  });
});
