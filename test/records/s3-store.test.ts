/** Uploads to a real S3 server by presigned URLs, and what happens when that server has a bad day. */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { PART_BYTES } from '../../shared/protocol/records.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { CatalogueClient } from './catalogue-client.ts';
import { S3Sink, type Trouble } from './s3-sink.ts';
import { digest, recordHeavily } from './support/heavy-recording.ts';
import { LongFile } from './support/long-file.ts';
import { ADMIN, ADMIN_TOKEN, NODE_TOKEN, START_MS } from './support/system.ts';

/** Far less than the 224 MiB that come after the first. */
const MAX_GROWTH_MIB = 112;

type Step = (method: string, url: URL) => boolean;
const BEGINS: Step = (method, { searchParams }) => method === 'POST' && searchParams.has('uploads');
const TAKES_A_PART: Step = (method, { searchParams }) => method === 'PUT' && searchParams.has('partNumber');
const COMPLETES: Step = (method, { searchParams }) => method === 'POST' && searchParams.has('uploadId');
const TELLS_THE_SIZE: Step = (method) => method === 'HEAD';

let sink: S3Sink;
let vestibule: Vestibule;

beforeAll(async () => {
  sink = await S3Sink.start();
  const env = { ...sink.settings, NODE_TOKEN, ADMIN_TOKEN };
  vestibule = await startVestibule({ part: 'edge', env });
}, START_MS);
afterAll(async () => {
  await vestibule?.stop();
  await sink?.[Symbol.asyncDispose]();
});
beforeEach(() => {
  sink.trouble = () => null;
});

async function begun(): Promise<CatalogueClient> {
  const client = new CatalogueClient(vestibule.url, NODE_TOKEN);
  expect((await client.begin()).status).toBe(201);
  return client;
}

async function codeOf(response: Response): Promise<[number, string]> {
  return [response.status, ((await response.json()) as { code: string }).code];
}

test('the parts go to the store itself; the file comes back through the edge, whole and in ranges', async () => {
  const client = await begun();
  const bytes = randomBytes(PART_BYTES + 4_321);
  const parts = await client.upload(bytes);
  expect((await client.complete(parts, bytes.length)).status).toBe(200);

  const file = await fetch(`${vestibule.url}/records/${client.name}`, { headers: ADMIN });
  expect(Buffer.from(await file.arrayBuffer()).equals(bytes)).toBe(true);
  const range = { ...ADMIN, Range: `bytes=${PART_BYTES - 5}-${PART_BYTES + 4}` };
  const part = await fetch(`${vestibule.url}/records/${client.name}`, { headers: range });
  expect(part.status).toBe(206);
  expect(Buffer.from(await part.arrayBuffer()).equals(bytes.subarray(PART_BYTES - 5, PART_BYTES + 5))).toBe(true);

  const removed = await fetch(`${vestibule.url}/records/${client.name}`, { method: 'DELETE', headers: ADMIN });
  expect(removed.status).toBe(200);
  expect((await fetch(`${vestibule.url}/records/${client.name}`, { headers: ADMIN })).status).toBe(404);
});

test('a presigned URL is good for what it was signed for, and nothing else', async () => {
  const client = await begun();
  const plan = await client.plan();
  const bytes = randomBytes(100);
  const statusWith = async (tamper: (url: string) => string) => (await client.put(plan, 1, bytes, tamper)).status;

  expect(await statusWith((url) => url.replace(/(X-Amz-Signature=)../, '$100'))).toBe(403);
  expect(await statusWith((url) => url.replace('partNumber=1', 'partNumber=2'))).toBe(403);
  expect(await statusWith((url) => url)).toBe(200);
  // The secret never leaves the edge.
  expect(JSON.stringify(plan)).not.toContain('S3RVER');
});

test.each<[string, Step, Trouble]>([
  ['refuses to begin', BEGINS, '500'],
  ['cuts the call that begins', BEGINS, 'cut'],
  ['refuses to complete', COMPLETES, '500'],
  ['cuts the call that completes', COMPLETES, 'cut'],
  ['completes and loses the answer', COMPLETES, 'lost'],
  ['cannot be asked for the size', TELLS_THE_SIZE, '500'],
])('a store that %s: 503, and all is well when it is back', async (_, concerns, trouble) => {
  const client = await begun();
  const bytes = randomBytes(1_000);
  const attempt = async (): Promise<Response> => {
    const asked = await client.say('POST', `/${client.id}/upload`);
    if (!asked.ok) return asked;
    return client.complete(await client.upload(bytes), bytes.length);
  };

  sink.trouble = (method, url) => (concerns(method, url) ? trouble : null);
  expect(await codeOf(await attempt())).toEqual([503, 'store_unreachable']);
  sink.trouble = () => null;
  expect((await attempt()).status).toBe(200);
  const file = await fetch(`${vestibule.url}/records/${client.name}`, { headers: ADMIN });
  expect(Buffer.from(await file.arrayBuffer()).equals(bytes)).toBe(true);
});

test('uploads whose beginning was never answered are freed: at the next try, or with the recording', async () => {
  const client = await begun();
  const others = sink.openUploads;
  const left = (): string[] => sink.openUploads.filter((key) => !others.includes(key));
  const losesAnswers = (): void => {
    sink.trouble = (method, url) => (BEGINS(method, url) ? 'lost' : null);
  };
  const ask = async (): Promise<Response> => client.say('POST', `/${client.id}/upload`);

  losesAnswers();
  expect(await codeOf(await ask())).toEqual([503, 'store_unreachable']);
  expect(left()).toEqual([`live/${client.name}`]);
  // One is begun anew each time, and none piles up.
  expect(await codeOf(await ask())).toEqual([503, 'store_unreachable']);
  expect(left()).toHaveLength(1);
  sink.trouble = () => null;
  const bytes = randomBytes(1_000);
  expect((await client.complete(await client.upload(bytes), bytes.length)).status).toBe(200);
  expect(left()).toEqual([]);

  const failed = await begun();
  losesAnswers();
  expect(await codeOf(await failed.say('POST', `/${failed.id}/upload`))).toEqual([503, 'store_unreachable']);
  sink.trouble = () => null;
  await failed.say('PATCH', `/${failed.id}`, { state: 'failed', bytes: 0, durationMs: 0, error: 'the disk is full' });
  expect(left()).toEqual([`live/${failed.name}`]);
  const url = `${vestibule.url}/records/${failed.name}`;
  expect((await fetch(url, { method: 'DELETE', headers: ADMIN })).status).toBe(200);
  expect(left()).toEqual([]);
});

test('what a node records lands in a store that refuses, cuts, loses and dawdles at every step', {
  timeout: 180_000,
}, async () => {
  // Each happens once, the first time that it can.
  const troubles: [step: Step, trouble: Trouble][] = [
    ...(['500', 'cut', 'slow'] as const).map((trouble): [Step, Trouble] => [BEGINS, trouble]),
    ...(['500', 'cut', 'lost', 'slow'] as const).map((trouble): [Step, Trouble] => [TAKES_A_PART, trouble]),
    ...(['500', 'cut', 'lost', 'slow'] as const).map((trouble): [Step, Trouble] => [COMPLETES, trouble]),
    ...(['500', 'cut', 'slow'] as const).map((trouble): [Step, Trouble] => [TELLS_THE_SIZE, trouble]),
  ];
  sink.trouble = (method, url) => {
    const at = troubles.findIndex(([step]) => step(method, url));
    return at < 0 ? null : (troubles.splice(at, 1)[0]?.[1] ?? null);
  };
  const { stored, local } = await recordHeavily(vestibule);
  expect(digest(stored)).toBe(digest(local));
  expect(troubles).toEqual([]);
});

test('300 MB pass through the edge, and leave nothing in memory', { timeout: 150_000 }, async () => {
  const file = new LongFile(vestibule);
  await file.upload();
  const growthMiB = await file.download();
  console.log(`300 MB down: ${growthMiB.toFixed(0)} MiB`);
  expect(growthMiB).toBeLessThan(MAX_GROWTH_MIB);
});

test('settings that name half a store stop the start, with what is missing', async () => {
  const { S3_SECRET_KEY: _, ...half } = sink.settings;
  await expect(startVestibule({ part: 'edge', env: half })).rejects.toThrow(/S3_SECRET_KEY must be given, too/);
});
