/**
 * Many cheap viewers in one process: `node watch.ts URL OPTIONS` (JSON, those of a viewer group). Told by lines on
 * standard input: `add N PER_SECOND`, `remove N`, `count`.
 */
import { createInterface } from 'node:readline';
import { NO_FEEDBACK } from '../../load/feedback.ts';
import { groupOptionsSchema, ViewerGroup } from '../../load/viewer-group.ts';
import { quantile } from '../statistics.ts';
import { say, stopWhenTold } from './say.ts';

const [url = '', json = '{}'] = process.argv.slice(2);
const defaults = {
  address: '127.0.0.1',
  viewers: 1,
  joinsPerSecond: 50,
  codecs: ['H264', 'VP8'],
  srtp: 'gcm',
  feedback: NO_FEEDBACK,
  native: true,
};
const group = new ViewerGroup(groupOptionsSchema.parse({ url, ...defaults, ...JSON.parse(json) }));

async function count(): Promise<void> {
  const { packetsOfViewers, expectedOfViewers, joinMs, firstPacketMs, ...counts } = await group.snapshot();
  say('count', {
    ...counts,
    atMs: performance.now(),
    packets: packetsOfViewers.reduce((sum, packets) => sum + packets, 0),
    packetsOfViewers,
    joinP50Ms: quantile(joinMs, 0.5),
    joinP99Ms: quantile(joinMs, 0.99),
  });
}

async function obey(line: string): Promise<void> {
  const [command, number, rate] = line.split(' ');
  if (command === 'add') {
    await group.add(Number(number), Number(rate));
    say('added');
  } else if (command === 'remove') {
    await group.remove(Number(number));
    say('removed');
  } else if (command === 'count') {
    await count();
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  obey(line).catch((error: unknown) => say('failed', { message: String(error) }));
});
stopWhenTold(() => group.close());
say('ready');
