/** What a join costs the media node: ICE, the DTLS handshake, keys, and the end of it. */
import { play } from '../support/client/viewer.ts';
import { startVestibule } from '../support/start-vestibule.ts';
import { type Bench, RUNS, type Table } from './bench.ts';
import { LoadProcess } from './load-process.ts';
import { cpuTime } from './process-usage.ts';
import { median, spread } from './statistics.ts';

const JOINS = 200;
const WARM_UP_JOINS = 100;
const IDLE_WINDOW_MS = 3_000;

function cpuSeconds(pid: number): number {
  const { user, system } = cpuTime(pid);
  return user + system;
}

async function joinAndLeave(url: string, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const startMs = performance.now();
    const viewer = await play({ url, video: null, cheap: true, reports: false });
    times.push(performance.now() - startMs);
    await viewer.close();
  }
  return times;
}

export const joinCostBench: Bench = {
  name: 'join-cost',
  async run(progress): Promise<Table> {
    await using vestibule = await startVestibule();
    await using _publisher = await LoadProcess.publisher(`${vestibule.url}/api/whip/publish/bench`, 'quiet');
    const url = `${vestibule.url}/api/whep/play/bench`;
    const { pid } = vestibule.node;
    await joinAndLeave(url, WARM_UP_JOINS);
    const cpuMs: number[] = [];
    const joinMs: number[] = [];
    for (let run = 0; run < RUNS; run++) {
      const idleBefore = cpuSeconds(pid);
      await new Promise((resolve) => setTimeout(resolve, IDLE_WINDOW_MS));
      const idleShare = (cpuSeconds(pid) - idleBefore) / (IDLE_WINDOW_MS / 1_000);
      const before = cpuSeconds(pid);
      const startMs = performance.now();
      const times = await joinAndLeave(url, JOINS);
      const elapsedS = (performance.now() - startMs) / 1_000;
      cpuMs.push(((cpuSeconds(pid) - before - idleShare * elapsedS) * 1_000) / JOINS);
      joinMs.push(median(times));
      progress(`run ${run + 1}: ${cpuMs.at(-1)?.toFixed(2)} ms of CPU, ${joinMs.at(-1)?.toFixed(1)} ms to media keys`);
    }
    const perSecond = Math.round(1_000 / median(cpuMs));
    return {
      title: 'Cost of a join',
      headers: [
        'CPU of the media node per join, ms',
        'POST → media keys at the viewer, ms',
        'joins per second and core',
      ],
      rows: [[spread(cpuMs, 2), spread(joinMs, 1), String(perSecond)]],
      notes: [
        `${RUNS} runs of ${JOINS} WHEP sessions one after the other: POST, ICE, DTLS (ECDHE, ECDSA P-256 on both sides), DELETE; ` +
          'median (least–greatest) of the runs, idle work subtracted. The third column is computed from the first.',
      ],
    };
  },
};
