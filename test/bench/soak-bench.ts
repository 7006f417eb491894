/** Hours in small: many viewers for minutes, looked at every ten seconds. */
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { BenchBed, measureWindow, type Window } from './bed.ts';
import type { Bench, Table } from './bench.ts';
import { descriptorCount } from './process-usage.ts';

const VIEWERS = 500;
const SECONDS = 600;
const SAMPLE_S = 10;
const MS_PER_S = 1_000;
const MB = 1e6;
const PERCENT = 100;
/** Rows of the table; every sample is told as it comes. */
const ROWS = 10;
/** 300 packets/s. */
const PATTERN = { packetsPerSecond: 300, videoBps: 2_000_000 };

const roomsSchema = z.array(z.object({ subscribers: z.number() }));

async function sessionsOf(url: string): Promise<number> {
  const response = await fetch(`${url}/api/rooms`);
  return roomsSchema.parse(await response.json()).reduce((sum, { subscribers }) => sum + subscribers, 0);
}

export const soakBench: Bench = {
  name: 'soak',
  about: '500 viewers at 300 packets/s for 10 minutes: loss, memory, descriptors, sessions (11 min each engine)',
  async run(progress, { engines, viewers, windowS }): Promise<Table> {
    const count = viewers?.[0] ?? VIEWERS;
    const seconds = windowS ?? SECONDS;
    const rows: string[][] = [];
    const notes: string[] = [];
    for (const engine of engines) {
      await using bed = await BenchBed.start({ engine, pattern: PATTERN });
      const before = { descriptors: descriptorCount(bed.nodePid) };
      await bed.bringTo(count);
      const samples: (Window & { descriptors: number; sessions: number })[] = [];
      const endMs = performance.now() + seconds * MS_PER_S;
      while (performance.now() < endMs) {
        const window = await measureWindow(bed, Math.min(SAMPLE_S * MS_PER_S, endMs - performance.now()));
        const sample = {
          ...window,
          descriptors: descriptorCount(bed.nodePid),
          sessions: await sessionsOf(bed.vestibule.url),
        };
        samples.push(sample);
        const cells = [
          engine,
          ((samples.length * SAMPLE_S) / 60).toFixed(1),
          (sample.userUs + sample.systemUs).toFixed(2),
          `${(sample.loss * PERCENT).toFixed(4)} %`,
          String(sample.starved),
          (sample.residentBytes / MB).toFixed(0),
          String(sample.descriptors),
          String(sample.sessions),
        ];
        progress(cells.join(', '));
        const every = Math.max(1, Math.round(seconds / SAMPLE_S / ROWS));
        if (samples.length % every === 0) rows.push(cells);
      }
      const first = samples[0];
      const last = samples.at(-1);
      if (first === undefined || last === undefined) throw new Error('a soak needs a second');
      const expected = last.to.seen.expected - first.from.seen.expected;
      const missing = last.to.seen.missing - first.from.seen.missing;
      const sent = last.to.sent.packets - first.from.sent.packets;
      const got = last.to.seen.packets - first.from.seen.packets;
      await bed.bringTo(0);
      await delay(SAMPLE_S * MS_PER_S);
      const later = samples.slice(Math.floor(samples.length / 2)).map(({ residentBytes }) => residentBytes / MB);
      notes.push(
        `${engine}: loss ${((missing / expected) * PERCENT).toFixed(5)} % (${missing} of ${expected}); each viewer got ${((got / sent / count) * PERCENT).toFixed(2)} % of the ${sent} packets sent; ` +
          `resident ${(first.residentBytes / MB).toFixed(0)} → ${(last.residentBytes / MB).toFixed(0)} MB (second half ${Math.min(...later).toFixed(0)} to ${Math.max(...later).toFixed(0)}); ` +
          `descriptors ${before.descriptors} → ${last.descriptors} → ${descriptorCount(bed.nodePid)}, sessions ${last.sessions} → ${await sessionsOf(bed.vestibule.url)} after all have left.`,
      );
    }
    return {
      title: 'Soak',
      headers: ['engine', 'minute', 'CPU µs per packet', 'loss', 'starved', 'RSS MB', 'descriptors', 'sessions'],
      rows,
      notes: [
        `${count} viewers, ${PATTERN.packetsPerSecond} packets/s, ${seconds} s, a look every ${SAMPLE_S} s.`,
        ...notes,
      ],
    };
  },
};
