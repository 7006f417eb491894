/** What RTCP of viewers costs the node, by kind. */

import { type FeedbackRates, NO_FEEDBACK } from '../load/feedback.ts';
import { BenchBed, measureWindow, type Window } from './bed.ts';
import type { Bench, Table } from './bench.ts';
import { COMMON } from './load-process.ts';
import { median, spread } from './statistics.ts';

const VIEWERS = 200;
const US_PER_S = 1e6;
const MS_PER_S = 1_000;
const WINDOW_S = 4;
/** Of each viewer and second: some thousands in all, so that the figure stands out of the forwarding. */
const KINDS: readonly { name: string; feedback: FeedbackRates }[] = [
  { name: 'none', feedback: NO_FEEDBACK },
  { name: 'receiver reports', feedback: { ...NO_FEEDBACK, rr: 20 } },
  { name: 'NACK (each answered by RTX)', feedback: { ...NO_FEEDBACK, nack: 20 } },
  { name: 'PLI', feedback: { ...NO_FEEDBACK, pli: 20 } },
];

export const rtcpBench: Bench = {
  name: 'rtcp',
  about: 'µs of the node per RTCP packet of viewers: RR, NACK, PLI (4 min)',
  async run(progress, { engines, viewers, windowS, runs }): Promise<Table> {
    const count = viewers?.[0] ?? VIEWERS;
    const rows: string[][] = [];
    for (const engine of engines) {
      let base = Number.NaN;
      for (const { name, feedback } of KINDS) {
        await using bed = await BenchBed.start({ engine, pattern: COMMON, viewers: { feedback } });
        await bed.bringTo(count);
        const windows: Window[] = [];
        for (let run = 0; run < runs; run++) windows.push(await measureWindow(bed, (windowS ?? WINDOW_S) * MS_PER_S));
        const perSource = windows.map(({ cores, sourcePps }) => cores / sourcePps);
        if (name === 'none') base = median(perSource);
        const rate = median(windows.map(({ feedbackPerSecond }) => feedbackPerSecond));
        // Keyframes that were asked for are more packets: what those cost is taken off by the source's rate.
        const cost = windows.map(
          ({ cores, sourcePps, feedbackPerSecond }) => ((cores - base * sourcePps) * US_PER_S) / feedbackPerSecond,
        );
        rows.push([
          engine,
          name,
          rate.toFixed(0),
          (median(windows.map(({ cores }) => cores)) * 100).toFixed(1),
          name === 'none' ? '' : spread(cost, 2),
        ]);
        progress(rows.at(-1)?.join(', ') ?? '');
      }
    }
    return {
      title: 'RTCP of viewers',
      headers: ['engine', 'kind', 'RTCP packets/s', '% of a core', 'CPU µs per RTCP packet'],
      rows,
      notes: [
        `${count} viewers of the common source; what the node uses with feedback, less what it uses without (per packet of the source), for each RTCP packet; median (least–greatest) of ${runs} windows.`,
        'Each RTCP packet is a datagram of its own, protected. A NACK asks for one packet, which the node sends again: that is in its figure.',
      ],
    };
  },
};
