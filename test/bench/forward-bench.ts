/** What the media node spends on each forwarded packet, and on each viewer's memory. */
import { startVestibule } from '../support/start-vestibule.ts';
import { type Bench, RUNS, type Table } from './bench.ts';
import { type Count, LoadProcess } from './load-process.ts';
import { cpuTime, residentBytes } from './process-usage.ts';
import { median, spread } from './statistics.ts';

const VIEWERS = [1, 10, 50, 100];
/** The kernel counts CPU in steps of 10 ms, so windows with few packets have to be longer. */
const WINDOW_MS = 4_000;
const FEW_VIEWERS_WINDOW_MS = 10_000;
const FEW_VIEWERS = 10;
const SETTLE_MS = 2_000;
/** Memory per viewer is the slope between these two. */
const MEMORY_FROM = 10;
const MEMORY_TO = 100;
const KB = 1_000;
const PERCENT = 100;

interface Window {
  userUs: number;
  systemUs: number;
  corePercent: number;
  /** What viewers got, and what the source sent, from before the window to after it. */
  forwarded: { from: Count; to: Count };
  source: { from: Count; to: Count };
  residentBytes: number;
  sourcePacketsPerSecond: number;
  sourceMbps: number;
  missing: number;
}

function rate(from: Count, to: Count, field: 'packets' | 'bytes'): number {
  return ((to[field] - from[field]) * 1_000) / (to.atMs - from.atMs);
}

/** Packets that a viewer got for each packet of the source, over all windows: in one, bursts at its ends would show. */
function deliveredShare(windows: readonly Window[], viewers: number): number {
  const [first] = windows;
  const last = windows.at(-1);
  if (first === undefined || last === undefined) return Number.NaN;
  const forwarded = rate(first.forwarded.from, last.forwarded.to, 'packets');
  return forwarded / viewers / rate(first.source.from, last.source.to, 'packets');
}

async function measure(
  load: { node: number; publisher: LoadProcess; viewers: LoadProcess },
  windowMs: number,
): Promise<Window> {
  const sourceBefore = await load.publisher.nextCount();
  const before = await load.viewers.nextCount();
  const cpuBefore = cpuTime(load.node);
  const startMs = performance.now();
  await new Promise((resolve) => setTimeout(resolve, windowMs));
  const cpuAfter = cpuTime(load.node);
  const elapsedS = (performance.now() - startMs) / 1_000;
  const after = await load.viewers.nextCount();
  const sourceAfter = await load.publisher.nextCount();
  const forwardedPerSecond = rate(before, after, 'packets');
  const sourcePacketsPerSecond = rate(sourceBefore, sourceAfter, 'packets');
  const userPerSecond = (cpuAfter.user - cpuBefore.user) / elapsedS;
  const systemPerSecond = (cpuAfter.system - cpuBefore.system) / elapsedS;
  return {
    userUs: (userPerSecond * 1e6) / forwardedPerSecond,
    systemUs: (systemPerSecond * 1e6) / forwardedPerSecond,
    corePercent: (userPerSecond + systemPerSecond) * PERCENT,
    forwarded: { from: before, to: after },
    source: { from: sourceBefore, to: sourceAfter },
    residentBytes: residentBytes(load.node),
    sourcePacketsPerSecond,
    sourceMbps: (rate(sourceBefore, sourceAfter, 'bytes') * 8) / 1e6,
    missing: after.missing - before.missing,
  };
}

export const forwardBench: Bench = {
  name: 'forward',
  async run(progress): Promise<Table> {
    await using vestibule = await startVestibule();
    await using publisher = await LoadProcess.publisher(`${vestibule.url}/api/whip/publish/bench`, 'bench');
    await using viewers = await LoadProcess.viewers(`${vestibule.url}/api/whep/play/bench`);
    const node = vestibule.node.pid;
    const rows: string[][] = [];
    const resident = new Map<number, number>();
    const sources: Window[] = [];
    let open = 0;
    for (const count of VIEWERS) {
      await viewers.add(count - open);
      open = count;
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      const windows: Window[] = [];
      for (let run = 0; run < RUNS; run++) {
        const windowMs = count <= FEW_VIEWERS ? FEW_VIEWERS_WINDOW_MS : WINDOW_MS;
        windows.push(await measure({ node, publisher, viewers }, windowMs));
      }
      sources.push(...windows);
      // What is left when garbage has been collected.
      resident.set(count, Math.min(...windows.map((window) => window.residentBytes)));
      const total = windows.map(({ userUs, systemUs }) => userUs + systemUs);
      progress(`${count} viewers: ${spread(total, 1)} µs per packet`);
      rows.push([
        String(count),
        spread(total, 1),
        median(windows.map(({ userUs }) => userUs)).toFixed(1),
        median(windows.map(({ systemUs }) => systemUs)).toFixed(1),
        median(windows.map(({ corePercent }) => corePercent)).toFixed(0),
        `${(deliveredShare(windows, count) * PERCENT).toFixed(1)} %`,
        String(windows.reduce((sum, { missing }) => sum + missing, 0)),
        ((resident.get(count) ?? Number.NaN) / 1e6).toFixed(0),
      ]);
    }
    const slope = ((resident.get(MEMORY_TO) ?? 0) - (resident.get(MEMORY_FROM) ?? 0)) / (MEMORY_TO - MEMORY_FROM);
    const packets = median(sources.map(({ sourcePacketsPerSecond }) => sourcePacketsPerSecond)).toFixed(0);
    const mbps = median(sources.map(({ sourceMbps }) => sourceMbps)).toFixed(2);
    return {
      title: `Forwarding, engine ${vestibule.node.engine}`,
      headers: [
        'viewers',
        'CPU µs per forwarded packet',
        'user',
        'system',
        '% of a core',
        'delivered of the source',
        'gaps',
        'least RSS MB',
      ],
      rows,
      notes: [
        `CPU of the whole media node process (reception, RTCP and idle work included), by the kernel's count; median (least–greatest) of ${RUNS} windows.`,
        `Source: ${packets} packets/s, ${mbps} Mb/s of H264 and Opus; synthetic clients in processes of their own on the same machine, protection AEAD_AES_128_GCM.`,
        `Resident memory per viewer (slope from ${MEMORY_FROM} to ${MEMORY_TO} viewers): ${(slope / KB).toFixed(0)} kB.`,
      ],
    };
  },
};
