/** The R2 of workerd, through the edge: what a node records, and a file of 300 MB. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { digest, recordHeavily } from './support/heavy-recording.ts';
import { LongFile } from './support/long-file.ts';
import { ADMIN_TOKEN, NODE_TOKEN, START_MS } from './support/system.ts';

/** Far less than the 224 MiB that come after the first. */
const MAX_GROWTH_MIB = 112;

let vestibule: Vestibule;
beforeAll(async () => {
  vestibule = await startVestibule({ part: 'edge', env: { NODE_TOKEN, ADMIN_TOKEN } });
}, START_MS);
afterAll(async () => {
  await vestibule?.stop();
});

test('what a node records', { timeout: 150_000 }, async () => {
  const { stored, local } = await recordHeavily(vestibule);
  expect(digest(stored)).toBe(digest(local));
});

test('300 MB pass through the edge, and leave nothing in memory', { timeout: 150_000 }, async () => {
  const file = new LongFile(vestibule);
  const growthMiB = await file.upload();
  console.log(`300 MB up: ${growthMiB.toFixed(0)} MiB`);
  expect(growthMiB).toBeLessThan(MAX_GROWTH_MIB);
  // The local R2 keeps in memory for a while what is fetched: how the edge passes that on is seen with an S3 store.
  await file.checkEnd();
});
