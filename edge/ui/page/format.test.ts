import { describe, expect, it } from 'vitest';
import {
  formatAudience,
  formatBitrate,
  formatBytes,
  formatCodec,
  formatCodecs,
  formatDuration,
  formatMs,
  formatShare,
  formatSize,
} from './format.ts';

describe('formats', () => {
  it.each([
    [formatBitrate(null), '–'],
    [formatBitrate(0), '0 kb/s'],
    [formatBitrate(999_400), '999 kb/s'],
    [formatBitrate(2_612_345), '2.61 Mb/s'],
    [formatMs(null), '–'],
    [formatMs(3.14), '3.1 ms'],
    [formatMs(151.7), '152 ms'],
    [formatShare(null), '–'],
    [formatShare(0), '0 %'],
    [formatShare(0.0123), '1.2 %'],
    [formatShare(0.5), '50 %'],
    [formatSize(null, 720), '–'],
    [formatSize(1280, 720), '1280 × 720'],
    [formatCodecs(null, null), '–'],
    [formatCodecs('VP8', 'opus'), 'VP8 · Opus'],
    [formatCodecs(null, 'PCMU'), 'PCMU'],
    [formatCodec('opus'), 'Opus'],
    [formatCodec('H264'), 'H264'],
    [formatAudience(0), 'nobody watching'],
    [formatAudience(3), '3 watching'],
    [formatBytes(0), '0 kB'],
    [formatBytes(1_499), '2 kB'],
    [formatBytes(12_345_678), '12.3 MB'],
    [formatBytes(4_200_000_000), '4.20 GB'],
    [formatDuration(0), '0:00'],
    [formatDuration(749_600), '12:30'],
    [formatDuration(3_723_000), '1:02:03'],
  ])('writes %s', (written, expected) => {
    expect(written).toBe(expected);
  });
});
