/** What recordings cost those who watch, and the node: 20 rooms, recorded and not recorded by turns. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';
import { BENCH_VIDEO } from '../support/client/pattern.ts';
import { type Publisher, publish } from '../support/client/publisher.ts';
import { play, type Viewer } from '../support/client/viewer.ts';
import { openNativeReceiver } from '../support/native/native-receiver.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { playUrl, publishUrl } from './bed.ts';
import type { Bench, EngineName, Table } from './bench.ts';
import { delaysBetween } from './delays.ts';
import { PublisherProcess, ViewersProcess } from './load-process.ts';
import { cpuSeconds, residentBytes, waitedSeconds } from './process-usage.ts';
import { quantile } from './statistics.ts';

const ADMIN_TOKEN = 'bench';
const ROOMS = 20;
const WATCHING = 50;
const PROBES = 4;
const TURNS = 6;
const WINDOW_S = 6;
const MS_PER_S = 1_000;
const SETTLE_MS = 2_000;
const MIB = 2 ** 20;
const PERCENT = 100;
const UPLOAD_DEADLINE_MS = 120_000;
const POLL_MS = 500;
const recordsSchema = z.array(z.object({ state: z.string() }));

interface Turn {
  delaysMs: number[];
  cores: number;
  edgeCores: number;
  residentMiB: number;
  waited: number;
}

/** All rooms: that of the viewers, and the others. */
async function record({ url }: Vestibule, on: boolean): Promise<void> {
  for (let room = 0; room < ROOMS; room++) {
    const name = room === 0 ? 'bench' : `bench-other${room === 1 ? '' : `-${room - 1}`}`;
    const answer = await fetch(`${url}/api/admin/rooms/${name}/recording`, {
      method: on ? 'PUT' : 'DELETE',
      headers: { Authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    if (!answer.ok) throw new Error(`recording of ${name}: ${answer.status}`);
  }
}

/** Until what was recorded has gone to the store: that work is not of the turn that follows. */
async function uploaded({ url }: Vestibule): Promise<void> {
  const headers = { Authorization: `Bearer ${ADMIN_TOKEN}` };
  const endMs = performance.now() + UPLOAD_DEADLINE_MS;
  for (;;) {
    const records = recordsSchema.parse(await (await fetch(`${url}/api/records?limit=500`, { headers })).json());
    if (records.every(({ state }) => state === 'ready' || state === 'failed')) return;
    if (performance.now() > endMs) throw new Error('the recordings were not uploaded in time');
    await delay(POLL_MS);
  }
}

async function turn(
  vestibule: Vestibule,
  publisher: Publisher,
  probes: readonly Viewer[],
  windowMs: number,
): Promise<Turn> {
  const { node, workerdPid } = vestibule;
  await delay(SETTLE_MS);
  const before = { cpu: cpuSeconds(node.pid), edge: cpuSeconds(workerdPid), waited: waitedSeconds(node.pid) };
  const fromMs = performance.now();
  await delay(windowMs);
  const toMs = performance.now();
  const seconds = (toMs - fromMs) / MS_PER_S;
  const cores = (cpuSeconds(node.pid) - before.cpu) / seconds;
  const edgeCores = (cpuSeconds(workerdPid) - before.edge) / seconds;
  const waited = (waitedSeconds(node.pid) - before.waited) / seconds;
  await delay(SETTLE_MS);
  const delaysMs = (['video', 'audio'] as const).flatMap((kind) =>
    delaysBetween(
      publisher[kind],
      probes.map((probe) => probe[kind]),
      fromMs,
      toMs,
    ),
  );
  return { delaysMs, cores, edgeCores, residentMiB: residentBytes(node.pid) / MIB, waited };
}

/** Median, least and greatest of the turns. */
function spread(values: readonly number[]): string {
  const [least, median, greatest] = [0, 0.5, 1].map((share) => quantile(values, share).toFixed(2));
  return `${median} (${least}–${greatest})`;
}

async function measure(engine: EngineName, windowMs: number, progress: (message: string) => void): Promise<string[][]> {
  const receiver = await openNativeReceiver().catch(() => null);
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-bench-'));
  const env = { FANOUT_ENGINE: engine, ADMIN_TOKEN, RECORD_DIR: folder, DELETE_RECORDING_AFTER_UPLOAD: '1' };
  await using vestibule = await startVestibule({ env });
  const clients: (Publisher | Viewer)[] = [];
  try {
    const publisher = await publish({ url: publishUrl(vestibule), video: BENCH_VIDEO });
    clients.push(publisher);
    const probes: Viewer[] = [];
    for (let i = 0; i < PROBES; i++) {
      const probe = await play({
        url: playUrl(vestibule),
        ...(receiver === null ? {} : { openSocket: (from, onDatagram) => receiver.open(from, true, onDatagram) }),
      });
      probes.push(probe);
      clients.push(probe);
    }
    await using crowd = await ViewersProcess.start(playUrl(vestibule));
    await crowd.add(WATCHING - PROBES);
    await using _others = await PublisherProcess.start(`${publishUrl(vestibule)}-other`, { rooms: ROOMS - 1 });
    const turns: Record<'off' | 'on', Turn[]> = { off: [], on: [] };
    for (let at = 0; at < TURNS; at++) {
      for (const state of ['off', 'on'] as const) {
        await record(vestibule, state === 'on');
        if (state === 'off') await uploaded(vestibule);
        const seen = await turn(vestibule, publisher, probes, windowMs);
        turns[state].push(seen);
        progress(
          `${engine}, ${state}: p99 ${quantile(seen.delaysMs, 0.99).toFixed(2)} ms, ${seen.cores.toFixed(2)} cores`,
        );
      }
    }
    await record(vestibule, false);
    const cores = (state: 'off' | 'on'): number =>
      quantile(
        turns[state].map((each) => each.cores),
        0.5,
      );
    return (['off', 'on'] as const).map((state) => {
      const all = turns[state].flatMap(({ delaysMs }) => delaysMs);
      const last = turns[state].at(-1);
      const each = ((cores('on') - cores('off')) / ROOMS) * PERCENT;
      return [
        engine,
        state === 'on' ? `${ROOMS} recordings` : 'none',
        String(all.length),
        ...[0.5, 0.95, 0.99].map((share) => spread(turns[state].map(({ delaysMs }) => quantile(delaysMs, share)))),
        `${spread(turns[state].map(({ waited }) => waited * PERCENT))} %`,
        cores(state).toFixed(2),
        (last?.edgeCores ?? Number.NaN).toFixed(2),
        (last?.residentMiB ?? Number.NaN).toFixed(0),
        state === 'on' ? `${each.toFixed(2)} %` : '',
      ];
    });
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await rm(folder, { recursive: true, force: true });
  }
}

export const recordBench: Bench = {
  name: 'record',
  about: `forwarding delay to ${WATCHING} viewers with and without ${ROOMS} recordings, and what one costs (3 min)`,
  async run(progress, { engines, windowS }): Promise<Table> {
    const rows: string[][] = [];
    for (const engine of engines) rows.push(...(await measure(engine, (windowS ?? WINDOW_S) * MS_PER_S, progress)));
    return {
      title: 'Recordings',
      headers: [
        'engine',
        'recorded',
        'frames',
        'p50 ms',
        'p95 ms',
        'p99 ms',
        'node waited for a core',
        'node cores',
        'workerd cores',
        'node MiB',
        'of a core for each recording',
      ],
      rows,
      notes: [
        `${ROOMS} publishers of 355 packets/s and 2.6 Mb/s each, one of them watched by ${WATCHING}; recorded and not by turns, ${TURNS} times, in one run: medians of the turns, with the least and the greatest. Delay as in \`delay\`, at ${PROBES} of the viewers.`,
        'The cost of a recording has everything in it that its node does for it: tap, thread, disk, checksum, upload.',
      ],
    };
  },
};
