/** What a join costs the node (HTTP behind the edge, ICE, DTLS, keys), how many come through, and what stays of them. */
import { setTimeout as delay } from 'node:timers/promises';
import { play } from '../support/client/viewer.ts';
import { playUrl, publishUrl, startEngine } from './bed.ts';
import type { Bench, Table } from './bench.ts';
import { PublisherProcess, QUIET, ViewersProcess } from './load-process.ts';
import { cpuSeconds, descriptorCount, residentBytes } from './process-usage.ts';
import { median, spread } from './statistics.ts';

const JOINS = 200;
const WARM_UP_JOINS = 100;
/** Below what saturates: cost is measured where nothing queues. */
const EASY_JOINS_PER_SECOND = 30;
/** Faster than anything can take them: what comes through is the rate that is sustained. */
const CROWD = 300;
const CROWD_JOINS_PER_SECOND = 2_000;
const MS_PER_S = 1_000;
const IDLE_WINDOW_MS = 3_000;
const KB = 1e3;
const US_PER_S = 1e6;

export const joinsBench: Bench = {
  name: 'joins',
  about: 'CPU per join, joins per second, idle cost and memory of a session (4 min)',
  async run(progress, { engines, runs }): Promise<Table> {
    const rows: string[][] = [];
    for (const engine of engines) {
      await using vestibule = await startEngine(engine);
      await using _publisher = await PublisherProcess.start(publishUrl(vestibule), QUIET);
      await using viewers = await ViewersProcess.start(playUrl(vestibule));
      const { pid } = vestibule.node;
      await viewers.add(WARM_UP_JOINS, EASY_JOINS_PER_SECOND);
      await viewers.remove(WARM_UP_JOINS);
      const cpuMs: number[] = [];
      const edgeMs: number[] = [];
      const generatorMs: number[] = [];
      const perSecond: number[] = [];
      const joinMs: number[] = [];
      const idleUs: number[] = [];
      const residentKb: number[] = [];
      const idle = async (): Promise<number> => {
        const before = cpuSeconds(pid);
        await delay(IDLE_WINDOW_MS);
        return ((cpuSeconds(pid) - before) * MS_PER_S) / IDLE_WINDOW_MS;
      };
      for (let run = 0; run < runs; run++) {
        const emptyShare = await idle();
        const resident = residentBytes(pid);
        const from = { node: cpuSeconds(pid), edge: cpuSeconds(vestibule.workerdPid), own: cpuSeconds(viewers.pid) };
        const startMs = performance.now();
        await viewers.add(JOINS, EASY_JOINS_PER_SECOND);
        const elapsedS = (performance.now() - startMs) / MS_PER_S;
        const { joinP50Ms } = await viewers.count();
        const to = { node: cpuSeconds(pid), edge: cpuSeconds(vestibule.workerdPid), own: cpuSeconds(viewers.pid) };
        const fullShare = await idle();
        residentKb.push((residentBytes(pid) - resident) / JOINS / KB);
        idleUs.push(((fullShare - emptyShare) * US_PER_S) / JOINS);
        // Those that were in cost something meanwhile: on average, half of what all of them cost.
        const other = ((emptyShare + fullShare) / 2) * elapsedS;
        cpuMs.push(((to.node - from.node - other) * MS_PER_S) / JOINS);
        edgeMs.push(((to.edge - from.edge) * MS_PER_S) / JOINS);
        generatorMs.push(((to.own - from.own) * MS_PER_S) / JOINS);
        joinMs.push(joinP50Ms ?? Number.NaN);
        await viewers.remove(JOINS);
        const crowdMs = performance.now();
        const connected = (await viewers.count()).connected;
        await viewers.add(CROWD, CROWD_JOINS_PER_SECOND);
        const came = (await viewers.count()).connected - connected;
        perSecond.push((came * MS_PER_S) / (performance.now() - crowdMs));
        await viewers.remove(came);
        progress(
          `${engine}, run ${run + 1}: ${cpuMs.at(-1)?.toFixed(2)} ms of CPU a join, ${perSecond.at(-1)?.toFixed(0)} joins/s (${came} of ${CROWD}), ${descriptorCount(pid)} descriptors`,
        );
      }
      // One after the other, so that nothing waits for anything else.
      const alone: number[] = [];
      for (let join = 0; join < WARM_UP_JOINS; join++) {
        const startMs = performance.now();
        const viewer = await play({ url: playUrl(vestibule), cheap: true, reports: false });
        alone.push(performance.now() - startMs);
        await viewer.close();
      }
      rows.push([
        engine,
        spread(cpuMs, 2),
        median(edgeMs).toFixed(2),
        median(generatorMs).toFixed(2),
        spread(perSecond, 0),
        median(alone).toFixed(1),
        median(joinMs).toFixed(1),
        spread(idleUs, 0),
        spread(residentKb, 0),
      ]);
    }
    return {
      title: 'Joins',
      headers: [
        'engine',
        'node: CPU ms per join',
        "edge's workerd: CPU ms",
        'generator: CPU ms',
        'joins/s sustained here',
        'POST → keys, one at a time, ms',
        'the same at 30/s, ms',
        'a viewer of sound: µs/s',
        'resident kB per viewer',
      ],
      rows,
      notes: [
        `${runs} runs of ${JOINS} WHEP joins at ${EASY_JOINS_PER_SECOND} per second (POST, ICE, DTLS with ECDSA P-256 on both sides, keys), what runs anyway taken off; median (least–greatest). Then ${CROWD} at once: how many a second came through, edge and generator on the same cores.`,
        '`a viewer of sound` is what a session that is connected costs: 50 packets of Opus per second, reports and consent checks.',
      ],
    };
  },
};
