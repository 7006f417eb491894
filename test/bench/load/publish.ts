/**
 * A synthetic publisher as a process of its own: `node publish.ts URL PATTERN`, the pattern as JSON (see
 * `load-process.ts`). The line `count` on standard input is answered with what was sent.
 */
import { createInterface } from 'node:readline';
import { AUDIO, BENCH_VIDEO, OPUS_FRAMES_PER_SECOND } from '../../support/client/pattern.ts';
import { publish } from '../../support/client/publisher.ts';
import { patternSchema } from '../load-process.ts';
import { say, stopWhenTold } from './say.ts';

const [url = '', json = '{}'] = process.argv.slice(2);
const { packetsPerSecond, videoBps, answersPli, video, audio } = patternSchema.parse(JSON.parse(json));
const publisher = await publish({
  url,
  video: video
    ? {
        ...BENCH_VIDEO,
        packetsPerSecond: packetsPerSecond - (audio ? OPUS_FRAMES_PER_SECOND : 0),
        bitrateBps: videoBps,
      }
    : null,
  audio: audio ? AUDIO : null,
  answersPli,
});

createInterface({ input: process.stdin }).on('line', () => {
  const layers = publisher.tracks.flatMap((track) => track.layers);
  const bytes = layers.reduce((sum, { stream }) => sum + stream.bytes, 0);
  say('count', { atMs: performance.now(), packets: publisher.packetsSent, bytes });
});
stopWhenTold(() => publisher.close());
say('ready');
