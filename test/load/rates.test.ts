/** A publisher keeps to the rates that it was given. */
import { expect, test } from 'vitest';
import { videoSource } from '../support/client/pattern.ts';
import { type PublishRequest, readArguments } from './arguments.ts';
import { videoPattern } from './publish.ts';

const SECONDS = 20;
const OPUS_PACKETS_PER_SECOND = 50;

function request(line: string): PublishRequest {
  const read = readArguments(['publish', 'http://127.0.0.1/', ...line.split(' ').filter((word) => word !== '')]);
  if (read.command !== 'publish') throw new Error('no publisher');
  return read;
}

test.each([
  '',
  '--codec vp8',
  '--pps 100 --bitrate 300k',
  '--pps 187 --bitrate 1.1M',
  '--pps 191.5 --bitrate 400k --fps 25',
  '--pps 1000 --bitrate 2M',
  '--pps 3000 --bitrate 2.5M',
  '--pps 1000 --bitrate 8M --codec vp8',
  '--pps 60 --bitrate 20k',
])('publish %s', (line) => {
  const asked = request(line);
  const source = videoSource(videoPattern(asked));
  let packets = 0;
  let bytes = 0;
  const frames = SECONDS * source.framesPerSecond;
  source.next(0, true);
  for (let frame = 1; frame <= frames; frame++) {
    const payloads = source.next(frame, false);
    packets += payloads.length;
    bytes += payloads.reduce((sum, { length }) => sum + length, 0);
  }

  const deviation = packets / SECONDS / (asked.packetsPerSecond - OPUS_PACKETS_PER_SECOND) - 1;
  expect(Math.abs(deviation)).toBeLessThan(0.02);
  expect((bytes * 8) / SECONDS / asked.bitrateBps).toBeGreaterThan(0.97);
});
