/** A node in this process that records more than one part, for an edge with a real store. */
import { createHash } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { Recordings } from '../../../media-node/record/recordings.ts';
import { PART_BYTES } from '../../../shared/protocol/records.ts';
import { VIDEO, type VideoPattern } from '../../support/client/pattern.ts';
import { publish } from '../../support/client/publisher.ts';
import { openNodeUnderTest } from '../../support/node-under-test.ts';
import type { Vestibule } from '../../support/start-vestibule.ts';
import { until } from '../../support/until.ts';
import { recorderSettings } from './settings.ts';
import { ROOM, temporaryFolder } from './studio.ts';
import { ADMIN, NODE_TOKEN, RecordedSystem } from './system.ts';

/** More than one part of 16 MiB within some seconds. */
const HEAVY: VideoPattern = { ...VIDEO, packetsPerSecond: 2_400, bitrateBps: 22_000_000 };
const ENOUGH_BYTES = PART_BYTES + 1_500_000;
const SETTLE_MS = 60_000;

function bytesIn(folder: string): number {
  return readdirSync(folder).reduce((sum, name) => sum + statSync(join(folder, name)).size, 0);
}

export function digest(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Records and uploads to the end. Resolves with what the edge gives out, which has more than one part, and what lies on the node's disk. */
export async function recordHeavily(vestibule: Vestibule): Promise<{ stored: Buffer; local: Buffer }> {
  const folder = await temporaryFolder();
  const settings = { ...recorderSettings(folder, vestibule.url), token: NODE_TOKEN };
  const node = await openNodeUnderTest({ recordings: (context) => new Recordings({ context, settings }) });
  onTestFinished(() => node.close());
  const signalling = node.publishing(ROOM);
  const publisher = await publish({ signalling, video: HEAVY });
  onTestFinished(() => publisher.close());
  const whose = { publisher: { session: signalling.session, generation: 1 } };
  node.apply(ROOM, { ...whose, recording: { format: 'mp4' } });
  // What is in the file, not what came: a machine that is too busy to record all of it leaves some out.
  await until(() => bytesIn(folder) > ENOUGH_BYTES, 'more than a part', SETTLE_MS);
  node.apply(ROOM, { ...whose, recording: null });

  const system = new RecordedSystem(vestibule, folder);
  const [record] = await system.when(
    ([newest]) => newest?.state === 'ready',
    `what was recorded in the store (${node.logs.join('; ')})`,
    ROOM,
    SETTLE_MS,
  );
  const name = record?.name ?? '';
  const answer = await fetch(`${vestibule.url}/records/${name}`, { headers: ADMIN });
  const stored = Buffer.from(await answer.arrayBuffer());
  if (stored.length <= PART_BYTES) throw new Error(`${stored.length} bytes are a single part`);
  return { stored, local: await readFile(join(folder, name)) };
}
