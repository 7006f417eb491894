/**
 * Synthetic publishers in a process of their own: `node publish.ts URL PATTERN`, the pattern as JSON (see
 * `load-process.ts`). The line `count` on standard input is answered with what was sent.
 */
import { createInterface } from 'node:readline';
import { AUDIO, BENCH_VIDEO, OPUS_FRAMES_PER_SECOND } from '../../support/client/pattern.ts';
import { type Publisher, publish } from '../../support/client/publisher.ts';
import { patternSchema } from '../load-process.ts';
import { say, stopWhenTold } from './say.ts';

const [url = '', json = '{}'] = process.argv.slice(2);
const { packetsPerSecond, videoBps, answersPli, video, audio, rooms } = patternSchema.parse(JSON.parse(json));
const common = {
  video: video
    ? {
        ...BENCH_VIDEO,
        packetsPerSecond: packetsPerSecond - (audio ? OPUS_FRAMES_PER_SECOND : 0),
        bitrateBps: videoBps,
      }
    : null,
  audio: audio ? AUDIO : null,
  answersPli,
};
const publishers: Publisher[] = [];
for (let room = 0; room < rooms; room++) {
  publishers.push(await publish({ ...common, url: room === 0 ? url : `${url}-${room}` }));
}

createInterface({ input: process.stdin }).on('line', () => {
  const layers = publishers.flatMap(({ tracks }) => tracks.flatMap((track) => track.layers));
  const packets = publishers.reduce((sum, { packetsSent }) => sum + packetsSent, 0);
  const bytes = layers.reduce((sum, { stream }) => sum + stream.bytes, 0);
  say('count', { atMs: performance.now(), packets, bytes });
});
stopWhenTold(async () => void (await Promise.all(publishers.map((publisher) => publisher.close()))));
say('ready');
