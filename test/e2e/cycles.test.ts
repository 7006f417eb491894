/** Two hundred times publish, play, delete: nothing of them stays. */
import { readdir, readFile } from 'node:fs/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { publish } from '../support/client/publisher.ts';
import { play } from '../support/client/viewer.ts';
import { carriedSessions, storedRows } from '../support/left-behind.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { until } from './support/until.ts';

const CYCLES = 200;
/** Compilers, caches and pools have filled by then. */
const WARM_UP_CYCLES = 60;
const ADMIN_TOKEN = 'admin-token-for-tests';
/** Garbage that is not collected yet; 200 kB of every cycle that stayed would be above it. */
const MEMORY_NOISE_BYTES = 28 * 1024 * 1024;
const DESCRIPTOR_NOISE = 4;

let vestibule: Vestibule;

beforeAll(async () => {
  vestibule = await startVestibule({ env: { ADMIN_TOKEN } });
});

afterAll(async () => {
  await vestibule?.stop();
});

interface Footprint {
  nodeDescriptors: number;
  edgeDescriptors: number;
  nodeBytes: number;
  rows: number;
}

async function cycle(number: number): Promise<void> {
  // The same few rooms again and again, as in life.
  const room = `cycle-${number % 4}`;
  const publisher = await publish({ url: `${vestibule.url}/api/whip/publish/${room}` });
  const viewer = await play({ url: `${vestibule.url}/api/whep/play/${room}` });
  await until('media arrives', () => viewer.packets > 2);
  const ends = [() => viewer.close(), () => publisher.close()];
  if (number % 2 === 1) ends.reverse();
  for (const end of ends) await end().catch(ignoreGone);
}

/** A viewer whose publisher has gone has no session to delete. */
function ignoreGone(error: unknown): void {
  if (!String(error).includes('404')) throw error;
}

async function footprint(): Promise<Footprint> {
  await until(
    'the node says that it carries nothing',
    async () => (await carriedSessions(vestibule, ADMIN_TOKEN)) === 0,
  );
  const status = await readFile(`/proc/${vestibule.node.pid}/status`, 'utf8');
  return {
    nodeDescriptors: await descriptors(vestibule.node.pid),
    edgeDescriptors: await descriptors(vestibule.workerdPid),
    nodeBytes: Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024,
    rows: await storedRows(vestibule),
  };
}

async function descriptors(pid: number): Promise<number> {
  return (await readdir(`/proc/${pid}/fd`)).length;
}

test(`${CYCLES} cycles leave no session, socket, row or memory behind`, async () => {
  for (let number = 0; number < WARM_UP_CYCLES; number += 1) await cycle(number);
  const before = await footprint();
  for (let number = WARM_UP_CYCLES; number < CYCLES; number += 1) await cycle(number);
  const after = await footprint();

  const story = JSON.stringify({ before, after });
  expect(after.rows, story).toBeLessThanOrEqual(before.rows);
  expect(after.nodeDescriptors, story).toBeLessThanOrEqual(before.nodeDescriptors + DESCRIPTOR_NOISE);
  expect(after.edgeDescriptors, story).toBeLessThanOrEqual(before.edgeDescriptors + DESCRIPTOR_NOISE);
  expect(after.nodeBytes, story).toBeLessThan(before.nodeBytes + MEMORY_NOISE_BYTES);
  expect(
    await (await fetch(`${vestibule.url}/api/rooms`, { headers: { authorization: `Bearer ${ADMIN_TOKEN}` } })).json(),
  ).toEqual([]);
});
