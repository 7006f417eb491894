/** What a node records lands in a real store by way of the real edge: the R2 of workerd, or an S3 server. */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Recordings } from '../../media-node/record/recordings.ts';
import { VIDEO, type VideoPattern } from '../support/client/pattern.ts';
import { publish } from '../support/client/publisher.ts';
import { openNodeUnderTest } from '../support/node-under-test.ts';
import { startVestibule } from '../support/start-vestibule.ts';
import { until } from '../support/until.ts';
import { S3Sink } from './s3-sink.ts';
import { recorderSettings } from './support/settings.ts';
import { ROOM, temporaryFolder } from './support/studio.ts';

const NODE_TOKEN = 'a-token-for-nodes';
const ADMIN = { Authorization: 'Bearer root' };
/** More than one part of 16 MiB within some seconds. */
const HEAVY: VideoPattern = { ...VIDEO, packetsPerSecond: 2_400, bitrateBps: 22_000_000 };
const ENOUGH_BYTES = 20_000_000;
const SETTLE_MS = 30_000;

interface Listed {
  name: string;
  size: number;
  state: string;
  error?: string | null;
}

test.each(['r2', 's3'] as const)('%s', { timeout: 120_000 }, async (store) => {
  const sink = store === 's3' ? await S3Sink.start() : null;
  onTestFinished(async () => await sink?.[Symbol.asyncDispose]());
  const env = { ...sink?.settings, NODE_TOKEN, ADMIN_TOKEN: 'root' };
  const vestibule = await startVestibule({ part: 'edge', env });
  onTestFinished(async () => await vestibule.stop());
  const folder = await temporaryFolder();
  const node = await openNodeUnderTest({
    recordings: (context) =>
      new Recordings({ context, settings: { ...recorderSettings(folder, vestibule.url), token: NODE_TOKEN } }),
  });
  onTestFinished(() => node.close());
  const signalling = node.publishing(ROOM);
  const publisher = await publish({ signalling, video: HEAVY });
  onTestFinished(() => publisher.close());
  const whose = { publisher: { session: signalling.session, generation: 1 } };
  node.apply(ROOM, { ...whose, recording: { format: 'mp4' } });

  const list = async (): Promise<Listed[]> => {
    const answer = await fetch(`${vestibule.url}/api/records`, { headers: ADMIN });
    const body = (await answer.json()) as Listed[] | { records: Listed[] };
    return Array.isArray(body) ? body : body.records;
  };
  let listed: Listed[] = [];
  let enough = false;
  const watch = setInterval(async () => {
    listed = await list().catch(() => listed);
    enough ||= node.forwarder.counters.bytesIn > ENOUGH_BYTES;
  }, 300);
  onTestFinished(() => clearInterval(watch));
  await until(() => enough, 'enough bytes', SETTLE_MS);
  node.apply(ROOM, { ...whose, recording: null });
  await until(
    () => listed[0]?.state === 'ready',
    () => JSON.stringify([listed, node.logs]),
    SETTLE_MS,
  );
  clearInterval(watch);
  const [record] = listed;
  const file = await fetch(`${vestibule.url}/records/${record?.name}`, { headers: ADMIN });
  const got = Buffer.from(await file.arrayBuffer());
  const local = await readFile(join(folder, record?.name ?? ''));
  expect(got.length).toBeGreaterThan(16 * 1024 * 1024);
  const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
  expect(digest(got)).toBe(digest(local));
});
