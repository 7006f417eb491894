/** From a packet's leaving the publisher to its arrival at a viewer, while the node idles and while others join. */
import { setTimeout as delay } from 'node:timers/promises';
import { BENCH_VIDEO } from '../support/client/pattern.ts';
import { type Publisher, publish } from '../support/client/publisher.ts';
import { play, type Viewer } from '../support/client/viewer.ts';
import { openNativeReceiver } from '../support/native/native-receiver.ts';
import { playUrl, publishUrl, startEngine } from './bed.ts';
import type { Bench, EngineName, Table } from './bench.ts';
import { delaysBetween } from './delays.ts';
import { ViewersProcess } from './load-process.ts';
import { waitedSeconds } from './process-usage.ts';
import { quantile } from './statistics.ts';

const PROBES = 4;
const CROWD = 100;
const JOINS_PER_SECOND = 100;
const WINDOW_S = 10;
const MS_PER_S = 1_000;
const SETTLE_MS = 3_000;
const PERCENT = 100;

/** Who joins in one second leaves in the next: what is measured is joining, and not that there are ever more. */
async function comeAndGo(crowd: ViewersProcess, ms: number): Promise<void> {
  const endMs = performance.now() + ms;
  let leaving: Promise<void> = Promise.resolve();
  while (performance.now() < endMs) {
    await crowd.add(JOINS_PER_SECOND, JOINS_PER_SECOND);
    await leaving;
    leaving = crowd.remove(JOINS_PER_SECOND);
  }
  await leaving;
}

async function measure(engine: EngineName, windowMs: number, progress: (message: string) => void): Promise<string[][]> {
  const receiver = await openNativeReceiver().catch(() => null);
  await using vestibule = await startEngine(engine);
  const clients: (Publisher | Viewer)[] = [];
  try {
    const publisher = await publish({ url: publishUrl(vestibule), video: BENCH_VIDEO });
    clients.push(publisher);
    const probes: Viewer[] = [];
    for (let i = 0; i < PROBES; i++) {
      const probe = await play({
        url: playUrl(vestibule),
        // The kernel notes the arrival, so what this process does meanwhile is not in the figure.
        ...(receiver === null ? {} : { openSocket: (from, onDatagram) => receiver.open(from, true, onDatagram) }),
      });
      probes.push(probe);
      clients.push(probe);
    }
    await using crowd = await ViewersProcess.start(playUrl(vestibule));
    const pid = vestibule.node.pid;
    const row = async (name: string, meanwhile: (ms: number) => Promise<unknown>): Promise<string[]> => {
      await delay(SETTLE_MS);
      const waitedS = waitedSeconds(pid);
      const fromMs = performance.now();
      await meanwhile(windowMs);
      const toMs = performance.now();
      const waited = (waitedSeconds(pid) - waitedS) / ((toMs - fromMs) / MS_PER_S);
      await delay(SETTLE_MS);
      const video = delaysBetween(
        publisher.video,
        probes.map((probe) => probe.video),
        fromMs,
        toMs,
      );
      const audio = delaysBetween(
        publisher.audio,
        probes.map((probe) => probe.audio),
        fromMs,
        toMs,
      );
      const all = [...video, ...audio];
      const cells = [0.5, 0.95, 0.99, 0.999].map((share) => quantile(all, share).toFixed(2));
      const joins = (await crowd.count()).connected;
      const cells2 = [
        engine,
        name,
        String(all.length),
        ...cells,
        Math.max(...all).toFixed(1),
        `${(waited * PERCENT).toFixed(1)} %`,
      ];
      progress(`${cells2.join(', ')} (${joins} joined so far)`);
      return cells2;
    };
    const rows = [await row(`${PROBES} viewers`, delay)];
    await crowd.add(CROWD);
    rows.push(await row(`${CROWD} viewers`, delay));
    rows.push(await row(`${CROWD} viewers, and ${JOINS_PER_SECOND} joins/s`, (ms) => comeAndGo(crowd, ms)));
    return rows;
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
}

export const delayBench: Bench = {
  name: 'delay',
  about: 'forwarding delay, idle and while 100 viewers a second join (2 min)',
  async run(progress, { engines, windowS }): Promise<Table> {
    const rows: string[][] = [];
    for (const engine of engines) rows.push(...(await measure(engine, (windowS ?? WINDOW_S) * MS_PER_S, progress)));
    return {
      title: 'Forwarding delay',
      headers: [
        'engine',
        'meanwhile',
        'frames',
        'p50 ms',
        'p95 ms',
        'p99 ms',
        'p99.9 ms',
        'most ms',
        'node waited for a core',
      ],
      rows,
      notes: [
        `Sound and picture at ${PROBES} viewers. Sent: noted by the publisher just before; arrived: noted by the kernel at the viewer's socket (by this process where no compiler is). One clock.`,
        'Who joins, and the edge, take their time from the same cores: the last column is the share of the time that the node could have run and was not let. A quiet machine with more cores shows less delay.',
      ],
    };
  },
};
