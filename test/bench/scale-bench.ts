/** How cost and memory grow with the number of viewers. */
import { setTimeout as delay } from 'node:timers/promises';
import { BenchBed, measureWindow, type Window } from './bed.ts';
import type { Bench, EngineName, Table } from './bench.ts';
import { WINDOW_HEADERS, windowCells, windowNotes } from './forward-bench.ts';
import { LIVEKIT } from './load-process.ts';
import { descriptorCount, residentBytes } from './process-usage.ts';

const VIEWERS = [10, 100, 500, 1_000, 2_000];
const MS_PER_S = 1_000;
const WINDOW_S = 5;
const MB = 1e6;
const KB = 1e3;
/** After the last viewer has left: until garbage is collected, at the latest. */
const LEAVE_S = 5;

/** Least squares. */
function slope(points: readonly (readonly [number, number])[]): number {
  const meanX = points.reduce((sum, [x]) => sum + x, 0) / points.length;
  const meanY = points.reduce((sum, [, y]) => sum + y, 0) / points.length;
  const over = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - meanY), 0);
  return over / points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0);
}

export const scaleBench: Bench = {
  name: 'scale',
  about: 'µs per packet, memory per viewer, loss and starved viewers from 10 to 2000 viewers (8 min)',
  async run(progress, { engines, viewers, windowS, runs }): Promise<Table> {
    const rows: string[][] = [];
    const windows: Window[] = [];
    const notes: string[] = [];
    const measure = async (engine: EngineName): Promise<void> => {
      await using bed = await BenchBed.start({ engine, pattern: LIVEKIT });
      const empty = residentBytes(bed.nodePid);
      const points: (readonly [number, number])[] = [];
      for (const count of viewers ?? VIEWERS) {
        await bed.bringTo(count);
        const own: Window[] = [];
        for (let run = 0; run < runs; run++) own.push(await measureWindow(bed, (windowS ?? WINDOW_S) * MS_PER_S));
        // What is left when garbage has been collected.
        const resident = Math.min(...own.map((window) => window.residentBytes));
        points.push([count, resident]);
        const perViewer = (resident - empty) / count / KB;
        rows.push([bed.vestibule.node.engine, ...windowCells(own), (resident / MB).toFixed(0), perViewer.toFixed(0)]);
        windows.push(...own);
        const last = own.at(-1);
        const reasons = Object.entries(last?.to.seen.failures ?? {}).map(([reason, times]) => `${times} × ${reason}`);
        progress([...(rows.at(-1) ?? []), ...reasons].join(', '));
      }
      const before = descriptorCount(bed.nodePid);
      await bed.bringTo(0);
      await delay(LEAVE_S * MS_PER_S);
      notes.push(
        `${engine}: ${(slope(points) / KB).toFixed(0)} kB of resident memory per viewer (slope); ${(empty / MB).toFixed(0)} MB without viewers, ${(residentBytes(bed.nodePid) / MB).toFixed(0)} MB after all have left, descriptors ${before} → ${descriptorCount(bed.nodePid)}.`,
      );
    };
    for (const engine of engines) await measure(engine);
    return {
      title: 'From 10 to 2000 viewers',
      headers: ['engine', ...WINDOW_HEADERS, 'RSS MB', 'kB per viewer'],
      rows,
      notes: [...windowNotes(windows, runs), ...notes],
    };
  },
};
