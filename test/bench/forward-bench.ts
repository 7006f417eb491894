/** What the media node spends on each forwarded packet, by engine and number of viewers. */
import { setTimeout as delay } from 'node:timers/promises';
import { BenchBed, measureWindow, type Window } from './bed.ts';
import { type Bench, type BenchOptions, type EngineName, PROTECTIONS, type Protection, type Table } from './bench.ts';
import { Floor, FRAMES, type Way } from './floor.ts';
import { COMMON } from './load-process.ts';
import { median, spread } from './statistics.ts';

const VIEWERS = [1, 10, 100, 500];
const MS_PER_S = 1_000;
const WINDOW_S = 4;
/** The kernel counts CPU in steps of 10 ms, so windows with few packets have to be longer. */
const FEW_VIEWERS_WINDOW_S = 10;
const FEW_VIEWERS = 10;
const PERCENT = 100;

/** Of code that is not compiled yet, and of garbage that joins left: a server runs for longer than that. */
const WARM_UP_MS = 20_000;
/** What a bare loop costs hardly depends on how many it sends to. */
const FLOOR_VIEWERS = 100;
const FLOOR_S = 1;
/** As the engines send: the portable one by a system call for each packet, the native one by those for many. */
const FLOORS: readonly Way[] = ['sendto', 'sendmmsg + UDP_SEGMENT'];

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

export function windowNotes(windows: readonly Window[], runs: number, srtp: Protection = 'gcm'): string[] {
  const overflowed = windows.reduce((sum, window) => sum + window.overflowed, 0);
  return [
    `CPU of the whole media node process (reception, RTCP and idle work included), by the kernel's count; median (least–greatest) of ${runs} windows.`,
    `Source: ${median(windows.map(({ sourcePps }) => sourcePps)).toFixed(0)} packets/s, ${median(windows.map(({ sourceMbps }) => sourceMbps)).toFixed(2)} Mb/s of H264 and Opus; ${PROTECTIONS[srtp]}; publisher and viewers in processes of their own on the same machine.`,
    '`delivered` is what viewers got of what the source sent in the same time, `starved` are those that got less than 99 % of it; `loss` is of numbers, `not sent` is what the node itself gave up (waited for a second, or no room), `per message` how many packets the kernel got as one message. `generator` is what one packet costs the thread that counts it: it is in no other figure.',
    `Whether the numbers can be trusted: ${overflowed} packets were dropped at full sockets of the generator. \`waited\` is the share of the time that the node could have run and had no core, because others had them: what starves beside more than a few percent of it says nothing about the node.`,
  ];
}

/** Beside each window: neighbours on the same host make everything dearer from one minute to the next, a ratio less so. */
function measureFloors(floor: Floor | null): number[] {
  if (floor === null) return FLOORS.map(() => Number.NaN);
  return FLOORS.map((way) => floor.measure(way, true, FRAMES, FLOOR_S).totalUs);
}

interface Beside {
  readonly window: Window;
  /** µs per packet of each of `FLOORS`, before and after the window. */
  readonly floorsUs: readonly number[];
}

async function measureBeside(bed: BenchBed, floor: Floor | null, runs: number, windowMs: number): Promise<Beside[]> {
  const measured: Beside[] = [];
  let before = measureFloors(floor);
  for (let run = 0; run < runs; run++) {
    const window = await measureWindow(bed, windowMs);
    const after = measureFloors(floor);
    measured.push({ window, floorsUs: after.map((us, way) => (us + (before[way] as number)) / 2) });
    before = after;
  }
  return measured;
}

/** How many times the floor's. */
function floorCells(measured: readonly Beside[]): string[] {
  return FLOORS.map((_, way) => {
    const ratios = measured.map(
      ({ window, floorsUs }) => (window.userUs + window.systemUs) / (floorsUs[way] as number),
    );
    return ratios.some(Number.isNaN) ? 'no compiler' : spread(ratios, 2);
  });
}

async function measureEngine(
  engine: EngineName,
  floor: Floor | null,
  { viewers, windowS, runs, srtp }: BenchOptions,
  progress: (message: string) => void,
): Promise<{ rows: string[][]; measured: Beside[] }> {
  await using bed = await BenchBed.start({ engine, pattern: COMMON, viewers: { srtp } });
  const rows: string[][] = [];
  const all: Beside[] = [];
  for (const count of viewers ?? VIEWERS) {
    await bed.bringTo(count);
    if (all.length === 0) await delay(WARM_UP_MS);
    const windowMs = (windowS ?? (count <= FEW_VIEWERS ? FEW_VIEWERS_WINDOW_S : WINDOW_S)) * MS_PER_S;
    const measured = await measureBeside(bed, floor, runs, windowMs);
    const name = bed.vestibule.node.engine;
    rows.push([name, ...windowCells(measured.map(({ window }) => window)), ...floorCells(measured)]);
    all.push(...measured);
    progress([...(rows.at(-1)?.slice(0, 3) ?? []), ...(rows.at(-1)?.slice(-FLOORS.length) ?? [])].join(', '));
  }
  return { rows, measured: all };
}

/** Null where it cannot be built. */
async function openFloor(progress: (message: string) => void): Promise<Floor | null> {
  try {
    return await Floor.open(FLOOR_VIEWERS);
  } catch (error) {
    progress(`no bare loops: ${error instanceof Error ? error.message : error}`);
    return null;
  }
}

function floorNote(measured: readonly Beside[]): string {
  const costs = FLOORS.map(
    (way, index) =>
      `${way} ${spread(
        measured.map(({ floorsUs }) => floorsUs[index] as number),
        2,
      )} µs`,
  );
  return `The last columns: how many times what a bare loop in C++ takes for a packet that it protects with GCM and sends to ${FLOOR_VIEWERS} viewers, ${FRAMES.burst} at a time and no sound between them, measured before and after each window: ${costs.join(', ')}.`;
}

export const forwardBench: Bench = {
  name: 'forward',
  about: 'µs of the node per forwarded packet at 1, 10, 100 and 500 viewers, both engines (10 min)',
  async run(progress, options): Promise<Table> {
    await using floor = await openFloor(progress);
    const results = [];
    for (const engine of options.engines) results.push(await measureEngine(engine, floor, options, progress));
    const measured = results.flatMap((result) => result.measured);
    return {
      title: 'Forwarding',
      headers: ['engine', ...WINDOW_HEADERS, ...FLOORS.map((way) => `× bare ${way}`)],
      rows: results.flatMap(({ rows }) => rows),
      notes: [
        ...windowNotes(
          measured.map(({ window }) => window),
          options.runs,
          options.srtp,
        ),
        floorNote(measured),
      ],
    };
  },
};
