/**
 * Many cheap viewers in one process: `node watch.ts URL`. Each line `add N` on standard input opens N more; they count
 * what comes and check that nothing is missing, without opening packets.
 */
import { createInterface } from 'node:readline';
import { play, type Viewer } from '../../support/client/viewer.ts';
import { say, stopWhenTold } from './say.ts';

const COUNT_INTERVAL_MS = 250;
/** Handshakes at a time. */
const JOINING = 4;

const [url = ''] = process.argv.slice(2);
const viewers: Viewer[] = [];

async function add(count: number): Promise<void> {
  let left = count;
  const worker = async (): Promise<void> => {
    while (left > 0) {
      left -= 1;
      viewers.push(await play({ url, cheap: true }));
    }
  };
  await Promise.all(Array.from({ length: JOINING }, worker));
  say('added', { viewers: viewers.length });
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const [command, count] = line.split(' ');
  if (command === 'add') add(Number(count)).catch((error: unknown) => say('failed', { message: String(error) }));
});

const counting = setInterval(() => {
  const tracks = viewers.flatMap((viewer) => viewer.tracks);
  say('count', {
    atMs: performance.now(),
    viewers: viewers.length,
    packets: tracks.reduce((sum, { packets }) => sum + packets, 0),
    missing: tracks.reduce((sum, { missing }) => sum + missing, 0),
  });
}, COUNT_INTERVAL_MS);

stopWhenTold(async () => {
  clearInterval(counting);
  await Promise.allSettled(viewers.map((viewer) => viewer.leave()));
});
say('ready');
