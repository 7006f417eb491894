/** How many packets per second the node carries before viewers get less than was sent. */
import { BenchBed, measureWindow, type Window } from './bed.ts';
import type { Bench, EngineName, Table } from './bench.ts';
import { COMMON } from './load-process.ts';

const FIRST_VIEWERS = { portable: 100, native: 400 } as const;
const MOST_VIEWERS = 4_000;
const GROWTH = 1.5;
/** The search ends when what holds and what does not are this near to each other. */
const NEAR = 1.08;
const JOINS_PER_SECOND = 100;
const MS_PER_S = 1_000;
const WINDOW_S = 5;
const PERCENT = 100;

interface Step {
  window: Window;
  holds: boolean;
}

async function search(
  engine: EngineName,
  first: number,
  windowMs: number,
  progress: (message: string) => void,
): Promise<{ best: Step | null; worst: Step | null }> {
  await using bed = await BenchBed.start({ engine, pattern: COMMON });
  let best: Step | null = null;
  let worst: Step | null = null;
  let count = first;
  for (;;) {
    await bed.bringTo(count, JOINS_PER_SECOND);
    let window = await measureWindow(bed, windowMs);
    // Once more: another's second of work is no limit of ours.
    if (window.starved > 0) window = await measureWindow(bed, windowMs);
    const step = { window, holds: window.starved === 0 && window.viewers >= count };
    const { packetsPerSecond, cores, starved, leastDelivered, overflowed, waited, generatorCores } = window;
    progress(
      `${engine}, ${window.viewers} viewers: ${packetsPerSecond.toFixed(0)} packets/s on ${cores.toFixed(2)} cores, ` +
        `${starved} starved, least ${(leastDelivered * PERCENT).toFixed(1)} %, generator ${generatorCores.toFixed(2)} cores ` +
        `(${overflowed} dropped there), node waited ${(waited * PERCENT).toFixed(0)} %`,
    );
    if (step.holds) best = step;
    else worst = step;
    if (worst === null) {
      if (count >= MOST_VIEWERS) return { best, worst };
      count = Math.min(MOST_VIEWERS, Math.round(count * GROWTH));
    } else {
      const low = best?.window.viewers ?? 0;
      const high = worst.window.viewers;
      if (low > 0 && high / low < NEAR) return { best, worst };
      count = Math.round(low === 0 ? high / 2 : Math.sqrt(low * high));
      if (count < 1 || count === low) return { best, worst };
    }
  }
}

function row(engine: string, name: string, step: Step | null): string[] {
  if (step === null) return [engine, name, 'not found', '', '', '', '', '', ''];
  const { viewers, packetsPerSecond, cores, starved, leastDelivered, overflowed, generatorCores, waited } = step.window;
  return [
    engine,
    name,
    String(viewers),
    packetsPerSecond.toFixed(0),
    (packetsPerSecond / cores).toFixed(0),
    `${starved}, least ${(leastDelivered * PERCENT).toFixed(1)} %`,
    String(overflowed),
    generatorCores.toFixed(2),
    `${(waited * PERCENT).toFixed(0)} %`,
  ];
}

export const starveBench: Bench = {
  name: 'starve',
  about: 'the highest packet rate before viewers get less than was sent (6 min)',
  async run(progress, { engines, viewers, windowS }): Promise<Table> {
    const rows: string[][] = [];
    for (const engine of engines) {
      const first = viewers?.[0] ?? FIRST_VIEWERS[engine];
      const { best, worst } = await search(engine, first, (windowS ?? WINDOW_S) * MS_PER_S, progress);
      rows.push(row(engine, 'highest that holds', best), row(engine, 'lowest that starves', worst));
    }
    return {
      title: 'Until viewers starve',
      headers: [
        'engine',
        '',
        'viewers',
        'packets/s',
        'packets/s per core',
        'starved',
        'dropped at the generator',
        'generator cores',
        'waited',
      ],
      rows,
      notes: [
        'The common source (355 packets/s); viewers are added, and the number halved between what holds and what does not. It holds when each viewer gets 99 % of what the source sent in the window.',
        'On few cores publisher, generator and node take time from each other: what starves here would not on a machine where the node has its core. `waited` is the share of the time that the node wanted to run and was not let; `packets/s per core` is by the CPU time that it used.',
      ],
    };
  },
};
