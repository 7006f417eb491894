/**
 * A synthetic publisher as a process of its own: `node publish.ts URL PATTERN`, where the pattern is `bench` (355
 * packets/s, 2.6 Mb/s), `stubborn` (the same, but it ignores PLI) or `quiet` (sound only).
 */
import { BENCH_VIDEO } from '../../support/client/pattern.ts';
import { publish } from '../../support/client/publisher.ts';
import { say, stopWhenTold } from './say.ts';

const COUNT_INTERVAL_MS = 250;

const [url = '', pattern = 'bench'] = process.argv.slice(2);
const publisher = await publish({
  url,
  video: pattern === 'quiet' ? null : BENCH_VIDEO,
  answersPli: pattern !== 'stubborn',
});
const counting = setInterval(() => {
  const layers = publisher.tracks.flatMap((track) => track.layers);
  const bytes = layers.reduce((sum, { stream }) => sum + stream.bytes, 0);
  say('count', { atMs: performance.now(), packets: publisher.packetsSent, bytes });
}, COUNT_INTERVAL_MS);
stopWhenTold(async () => {
  clearInterval(counting);
  await publisher.close();
});
say('ready');
