/** Viewers per core in the profile of LiveKit's published benchmark: computed from CPU per packet, and run. */
import { BenchBed, measureWindow, type Window } from './bed.ts';
import type { Bench, Table } from './bench.ts';
import { windowNotes } from './forward-bench.ts';
import { LIVEKIT } from './load-process.ts';
import { median, spread } from './statistics.ts';

const VIEWERS = [500, 1_000, 2_000];
const JOINS_PER_SECOND = 50;
const MS_PER_S = 1_000;
const WINDOW_S = 6;
const PERCENT = 100;

export const livekitBench: Bench = {
  name: 'livekit',
  about: "viewers per core at LiveKit's 187 packets/s and 1.4 Mb/s each, computed and run (6 min)",
  async run(progress, { engines, viewers, windowS, runs }): Promise<Table> {
    const rows: string[][] = [];
    const all: Window[] = [];
    for (const engine of engines) {
      await using bed = await BenchBed.start({ engine, pattern: LIVEKIT });
      for (const count of viewers ?? VIEWERS) {
        await bed.bringTo(count, JOINS_PER_SECOND);
        const windows: Window[] = [];
        for (let run = 0; run < runs; run++) windows.push(await measureWindow(bed, (windowS ?? WINDOW_S) * MS_PER_S));
        all.push(...windows);
        // Only of what was really delivered: a node that leaves packets out is not quicker for it.
        const perCore = windows.map(({ cores, delivered, viewers: there }) => (there * delivered) / cores);
        const starved = median(windows.map((window) => window.starved));
        rows.push([
          engine,
          `${windows.at(-1)?.viewers ?? 0} of ${count}`,
          (median(windows.map(({ cores }) => cores)) * PERCENT).toFixed(0),
          (median(windows.map(({ delivered }) => delivered)) * PERCENT).toFixed(1),
          starved.toFixed(0),
          `${(median(windows.map(({ waited }) => waited)) * PERCENT).toFixed(0)} %`,
          spread(perCore, 0),
        ]);
        progress(rows.at(-1)?.join(', ') ?? '');
        if (starved > 0) break;
      }
    }
    return {
      title: "Viewers per core, LiveKit's profile",
      headers: ['engine', 'viewers', '% of a core', 'delivered %', 'starved', 'waited', 'viewers per core, computed'],
      rows,
      notes: [
        "LiveKit's benchmark has one publisher and 3000 viewers at 187 packets/s and 1.4 Mb/s each on 16 cores: 187 viewers per core.",
        ...windowNotes(all, runs),
      ],
    };
  },
};
