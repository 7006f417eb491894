/** An edge without a store: recording goes on, the file stays, and the edge says so. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Recordings } from '../../media-node/record/recordings.ts';
import { VIDEO } from '../support/client/pattern.ts';
import { publish } from '../support/client/publisher.ts';
import { openNodeUnderTest } from '../support/node-under-test.ts';
import { until } from '../support/until.ts';
import { readRecorded } from './support/recorded.ts';
import { RecordsEdge } from './support/records-edge.ts';
import { recorderSettings } from './support/settings.ts';
import { ROOM, temporaryFolder } from './support/studio.ts';

const SETTLE_MS = 30_000;

test('no store', { timeout: 60_000 }, async () => {
  const folder = await temporaryFolder();
  const edge = await RecordsEdge.open();
  onTestFinished(() => edge.close());
  edge.mishap = (_method, path) => (path.endsWith('/upload') ? { status: 501, code: 'no_store' } : null);
  const node = await openNodeUnderTest({
    recordings: (context) => new Recordings({ context, settings: recorderSettings(folder, edge.url) }),
  });
  onTestFinished(() => node.close());
  const signalling = node.publishing(ROOM);
  const video = { ...VIDEO, packetsPerSecond: 2_400, bitrateBps: 22_000_000 };
  const publisher = await publish({ signalling, video });
  onTestFinished(() => publisher.close());
  const whose = { publisher: { session: signalling.session, generation: 1 } };
  node.apply(ROOM, { ...whose, recording: { format: 'mp4' } });
  const planned = (): number => edge.requests.filter((request) => request.endsWith('/upload')).length;
  await until(() => planned() > 0, 'a part that wants to leave', SETTLE_MS);
  const bytes = node.forwarder.counters.bytesIn;
  await until(() => node.forwarder.counters.bytesIn > bytes + 2_000_000, 'more of it', SETTLE_MS);
  expect(edge.all[0]?.states).toEqual(['recording']);
  expect(planned()).toBe(1);
  node.apply(ROOM, { ...whose, recording: null });
  await until(
    () => edge.all[0]?.state === 'failed',
    () => JSON.stringify(edge.all[0]?.states),
    SETTLE_MS,
  );
  expect(edge.all[0]?.error).toContain('stays on the media node');
  const { tracks } = await readRecorded(join(folder, edge.all[0]?.begin.name ?? ''));
  for (const { packets, decoded } of tracks) expect(decoded).toBe(packets);
});
