/** What the media node spends on each forwarded packet, by engine and number of viewers. */
import { BenchBed, measureWindow, type Window } from './bed.ts';
import type { Bench, BenchOptions, EngineName, Table } from './bench.ts';
import { COMMON } from './load-process.ts';
import { median, spread } from './statistics.ts';

const VIEWERS = [1, 10, 100, 500];
const MS_PER_S = 1_000;
const WINDOW_S = 4;
/** The kernel counts CPU in steps of 10 ms, so windows with few packets have to be longer. */
const FEW_VIEWERS_WINDOW_S = 10;
const FEW_VIEWERS = 10;
const PERCENT = 100;

/** The columns that benches of forwarding share. */
export const WINDOW_HEADERS = [
  'viewers',
  'CPU µs per packet',
  'user',
  'system',
  '% of a core',
  'packets/s',
  'delivered',
  'starved',
  'loss',
  'not sent',
  'per message',
  'waited',
  'generator µs',
] as const;

export function windowCells(windows: readonly Window[]): string[] {
  const of = (pick: (window: Window) => number): number => median(windows.map(pick));
  const receiver = windows.map(({ receiverUs }) => receiverUs).filter((value) => value !== null);
  return [
    String(windows[0]?.viewers ?? 0),
    spread(
      windows.map(({ userUs, systemUs }) => userUs + systemUs),
      2,
    ),
    of(({ userUs }) => userUs).toFixed(2),
    of(({ systemUs }) => systemUs).toFixed(2),
    of(({ cores }) => cores * PERCENT).toFixed(0),
    of(({ packetsPerSecond }) => packetsPerSecond).toFixed(0),
    `${(of(({ delivered }) => delivered) * PERCENT).toFixed(1)} %`,
    of(({ starved }) => starved).toFixed(0),
    `${(of(({ loss }) => loss) * PERCENT).toFixed(3)} %`,
    of(({ notSent }) => notSent).toFixed(0),
    windows.some(({ perMessage }) => perMessage === null) ? '1' : of(({ perMessage }) => perMessage ?? 1).toFixed(1),
    `${(of(({ waited }) => waited) * PERCENT).toFixed(0)} %`,
    receiver.length === 0 ? 'in JavaScript' : median(receiver).toFixed(2),
  ];
}

export function windowNotes(windows: readonly Window[], runs: number): string[] {
  const overflowed = windows.reduce((sum, window) => sum + window.overflowed, 0);
  return [
    `CPU of the whole media node process (reception, RTCP and idle work included), by the kernel's count; median (least–greatest) of ${runs} windows.`,
    `Source: ${median(windows.map(({ sourcePps }) => sourcePps)).toFixed(0)} packets/s, ${median(windows.map(({ sourceMbps }) => sourceMbps)).toFixed(2)} Mb/s of H264 and Opus; AEAD_AES_128_GCM; publisher and viewers in processes of their own on the same machine.`,
    '`delivered` is what viewers got of what the source sent in the same time, `starved` are those that got less than 99 % of it; `loss` is of numbers, `not sent` is what the node itself gave up (waited for a second, or no room), `per message` how many packets the kernel got as one message. `generator` is what one packet costs the thread that counts it: it is in no other figure.',
    `Whether the numbers can be trusted: ${overflowed} packets were dropped at full sockets of the generator. \`waited\` is the share of the time that the node could have run and had no core, because others had them: what starves beside more than a few percent of it says nothing about the node.`,
  ];
}

async function measureEngine(
  engine: EngineName,
  { viewers, windowS, runs }: BenchOptions,
  progress: (message: string) => void,
): Promise<{ rows: string[][]; windows: Window[] }> {
  await using bed = await BenchBed.start({ engine, pattern: COMMON });
  const rows: string[][] = [];
  const all: Window[] = [];
  for (const count of viewers ?? VIEWERS) {
    await bed.bringTo(count);
    const windows: Window[] = [];
    for (let run = 0; run < runs; run++) {
      windows.push(
        await measureWindow(bed, (windowS ?? (count <= FEW_VIEWERS ? FEW_VIEWERS_WINDOW_S : WINDOW_S)) * MS_PER_S),
      );
    }
    rows.push([bed.vestibule.node.engine, ...windowCells(windows)]);
    all.push(...windows);
    progress(rows.at(-1)?.slice(0, 3).join(', ') ?? '');
  }
  return { rows, windows: all };
}

export const forwardBench: Bench = {
  name: 'forward',
  about: 'µs of the node per forwarded packet at 1, 10, 100 and 500 viewers, both engines (7 min)',
  async run(progress, options): Promise<Table> {
    const results = [];
    for (const engine of options.engines) results.push(await measureEngine(engine, options, progress));
    return {
      title: 'Forwarding',
      headers: ['engine', ...WINDOW_HEADERS],
      rows: results.flatMap(({ rows }) => rows),
      notes: windowNotes(
        results.flatMap(({ windows }) => windows),
        options.runs,
      ),
    };
  },
};
