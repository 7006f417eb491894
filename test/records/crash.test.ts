/**
 * `kill -9` of the node, of workerd, and of both, at any moment: what was written before the last segment is in the store,
 * whole; everything ends ready, or failed with a reason; nothing is left anywhere that nobody knows of.
 *
 * `RECORD_KILLS=30 RECORD_SEED=2` for the long run. The seed chooses who is killed and how long each has lived; with an even
 * one the node deletes its files when the store has confirmed them.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { seededRandom } from '../support/client/impairment.ts';
import { VIDEO } from '../support/client/pattern.ts';
import { type Publisher, publish } from '../support/client/publisher.ts';
import { startVestibule } from '../support/start-vestibule.ts';
import { readR2 } from './support/r2-tables.ts';
import { readRecorded } from './support/recorded.ts';
import { wholePrefix } from './support/segments.ts';
import { temporaryFolder } from './support/studio.ts';
import { ADMIN_TOKEN, type ListedRecord, NODE_TOKEN, RecordedSystem } from './support/system.ts';

const KILLS = Number(process.env.RECORD_KILLS ?? 5);
const SEED = Number(process.env.RECORD_SEED ?? 1);
const MAX_LIFE_MS = 4_500;
/** From when the publisher left, or the last victim was back, to the next kill. */
const MAX_AFTER_MS = 300;
const MAX_RECOVERY_MS = 1_500;
/** Parts of 16 MiB leave while it is recorded. */
const HEAVY = { ...VIDEO, packetsPerSecond: 3_600, bitrateBps: 34_000_000 };
const VICTIMS = ['node', 'workerd', 'both'] as const;
/** Who dies often is started again ever later. */
const RESTART_MS = 60_000;
const PUBLISH_MS = 15_000;
const SETTLE_MS = 90_000;

/** A node that has just been started may not be linked yet. */
async function published(system: RecordedSystem, room: string, heavy: boolean, at: number): Promise<Publisher> {
  const video = heavy ? HEAVY : { ...VIDEO, codec: at % 2 === 0 ? ('H264' as const) : ('VP8' as const) };
  const endMs = performance.now() + PUBLISH_MS;
  for (;;) {
    try {
      return await publish({ url: system.publishUrl(room), video });
    } catch (error) {
      if (performance.now() > endMs) throw error;
      await delay(100);
    }
  }
}

const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');

test('killed again and again', { timeout: 120_000 + KILLS * 15_000 }, async () => {
  const [state, folder] = [await temporaryFolder(), await temporaryFolder()];
  const deletes = SEED % 2 === 0;
  const env = {
    ...{ NODE_TOKEN, ADMIN_TOKEN, RECORD_ENABLED: '1', RECORD_DIR: folder },
    ...(deletes ? { DELETE_RECORDING_AFTER_UPLOAD: '1' } : {}),
  };
  const random = seededRandom(SEED);
  const upTo = (limit: number): number => Math.floor(random() * limit);
  const vestibule = await startVestibule({ env, stateDirectory: state });
  onTestFinished(() => vestibule.stop());
  const system = new RecordedSystem(vestibule, folder);
  const nodeFolder = join(folder, vestibule.node.node);
  /** Whole segments that were on the disk when something was killed, by file name. */
  const written = new Map<string, Buffer>();
  const story: string[] = [];

  for (let at = 0; at < KILLS; at++) {
    const victim = VICTIMS[at % VICTIMS.length] ?? 'node';
    // In the midst of the repair of what the last kill left.
    const soon = at > 0 && upTo(4) === 0;
    const publisher = soon ? null : await published(system, `crash-${at}`, at % 4 === 3, at);
    const lifeMs = upTo(soon ? MAX_RECOVERY_MS : MAX_LIFE_MS);
    await delay(lifeMs);
    // Every other time the upload is under way, or about to be.
    const leaves = publisher !== null && upTo(2) === 0;
    if (leaves) await publisher.close();
    await delay(upTo(MAX_AFTER_MS));
    for (const name of await readdir(nodeFolder).catch(() => [])) {
      if (name.includes('.json')) continue;
      const whole = wholePrefix(name, await readFile(join(nodeFolder, name)).catch(() => Buffer.alloc(0)));
      if (whole !== null) written.set(name, whole);
    }
    const what = soon ? 'nobody published' : leaves ? 'the publisher had left' : 'recording';
    story.push(`${victim} after ${lifeMs} ms: ${what}`);
    await Promise.all([
      victim === 'workerd' ? null : vestibule.killNode(RESTART_MS),
      victim === 'node' ? null : vestibule.killWorkerd(RESTART_MS),
    ]);
    if (leaves) continue;
    if (victim === 'workerd') await publisher?.close();
    else await publisher?.abandon();
  }

  const isOver = ({ state: is }: ListedRecord): boolean => is === 'ready' || is === 'failed';
  const names = new Set(written.keys());
  const records = await system.when(
    (found) => found.every(isOver) && [...names].every((name) => found.some((record) => record.name === name)),
    `an end of ${[...names].join(', ')} after (seed ${SEED}): ${story.join('; ')}`,
    undefined,
    SETTLE_MS,
  );
  const copies = new Map<string, Buffer>();
  for (const record of records) {
    if (record.state === 'failed') {
      expect(record.error).toMatch(/its file is gone|before anything was in it/);
      expect(written.has(record.name)).toBe(false);
      continue;
    }
    const path = await system.download(record);
    const bytes = await readFile(path);
    copies.set(record.name, bytes);
    expect(bytes.length).toBe(record.size);
    const before = written.get(record.name);
    const now = wholePrefix(record.name, bytes);
    if (before !== undefined) expect(now?.subarray(0, before.length).equals(before), record.name).toBe(true);
    const decodes = record.name.endsWith('.mp4');
    const { tracks } = await readRecorded(path, decodes);
    for (const { packets, decoded } of tracks) expect(decodes ? decoded : packets, record.name).toBe(packets);
    expect(tracks.every(({ packets }) => packets > 0)).toBe(true);
  }
  // Confirmed by the store: the files go, and so do their journals.
  const uploaded = async (): Promise<string[]> =>
    (await readdir(nodeFolder)).filter((name) => copies.has(name.replace(/\.json$/, '')));
  if (deletes) await expect.poll(uploaded, { timeout: SETTLE_MS }).toEqual([]);
  await vestibule.stop();

  // Nothing is left that nobody knows of: not in the store, and not on the node's disk.
  const store = await readR2(state);
  expect(store.openUploads).toEqual([]);
  expect(store.orphanParts).toBe(0);
  expect(store.objects.toSorted()).toEqual([...copies.keys()].toSorted());
  const known = new Set(records.map(({ name }) => name));
  for (const name of await readdir(nodeFolder)) {
    expect(known.has(name.replace(/\.json$/, '')), name).toBe(true);
    const copy = copies.get(name);
    if (copy !== undefined) expect(digest(await readFile(join(nodeFolder, name)))).toBe(digest(copy));
  }
  const ready = records.filter(({ state: is }) => is === 'ready').length;
  const failed = records.filter(({ state: is }) => is === 'failed');
  console.log(
    [
      `${KILLS} kills, seed ${SEED}: ${ready} ready, ${failed.length} failed; ${written.size} had whole segments`,
      ...story,
      ...failed.map(({ name, error }) => `${name}: ${error}`),
    ].join('\n  '),
  );
  expect(ready).toBeGreaterThanOrEqual(written.size);
});
