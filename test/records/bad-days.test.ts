/** Folders that are not there, and edges that refuse. Bad networks are in `live.test.ts`, full disks in `../e2e/records-page.test.ts`. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Recordings } from '../../media-node/record/recordings.ts';
import { type Publisher, publish } from '../support/client/publisher.ts';
import { openNodeUnderTest } from '../support/node-under-test.ts';
import { until } from '../support/until.ts';
import { readRecorded } from './support/recorded.ts';
import { type Mishap, RecordsEdge } from './support/records-edge.ts';
import { recorderSettings } from './support/settings.ts';
import { ROOM, temporaryFolder } from './support/studio.ts';

/** Each refusal is followed by a pause that grows. */
const SETTLE_MS = 80_000;

async function openNode(folder: string, edge: RecordsEdge, settings = {}) {
  const made: Recordings[] = [];
  const node = await openNodeUnderTest({
    recordings: (context) => {
      made.push(new Recordings({ context, settings: { ...recorderSettings(folder, edge.url), ...settings } }));
      return made[0] as Recordings;
    },
  });
  onTestFinished(() => node.close());
  return { node, recordings: made[0] as Recordings };
}

async function openEdge(): Promise<RecordsEdge> {
  const edge = await RecordsEdge.open();
  onTestFinished(() => edge.close());
  return edge;
}

async function settled(edge: RecordsEdge, count: number): Promise<void> {
  await until(
    () => edge.all.filter(({ state }) => state === 'ready' || state === 'failed').length === count,
    () => JSON.stringify([edge.all.map(({ states, error }) => [states, error]), edge.requests.slice(-20)]),
    SETTLE_MS,
  );
}

async function start(publisher: Promise<Publisher>): Promise<Publisher> {
  const started = await publisher;
  onTestFinished(() => started.close());
  return started;
}

test('without a folder to write to the recording has failed, says why, and media goes on', {
  timeout: 90_000,
}, async () => {
  const [folder, edge] = [await temporaryFolder(), await openEdge()];
  await writeFile(join(folder, 'file'), '');
  const { node, recordings } = await openNode(join(folder, 'file'), edge);
  const signalling = node.publishing(ROOM);
  await start(publish({ signalling }));
  node.apply(ROOM, { publisher: { session: signalling.session, generation: 1 }, recording: { format: 'mp4' } });
  await settled(edge, 1);
  expect(edge.all[0]).toMatchObject({ state: 'failed', error: expect.stringContaining('cannot be created') });
  await until(() => recordings.size === 0, 'the end of the recording', SETTLE_MS);
  expect(node.lastReportOf(signalling.session)?.state).toBe('connected');
  const before = node.forwarder.counters.packetsIn;
  await until(() => node.forwarder.counters.packetsIn > before + 100, 'more packets', SETTLE_MS);
});

test('parts leave while it records; refusals of every kind are survived; the local file goes last', {
  timeout: 240_000,
}, async () => {
  const [folder, edge] = [await temporaryFolder(), await openEdge()];
  const { node } = await openNode(folder, edge, { deleteAfterUpload: true });
  // What goes wrong the first times that it is asked for.
  const mishaps: [what: RegExp, mishap: Mishap][] = [
    [/records$/, { status: 503, code: 'unavailable' }],
    [/upload$/, 'cut'],
    [/parts\/1$/, { status: 422, code: 'bad_checksum' }],
    [/parts\/1$/, { status: 409, code: 'no_upload' }],
    [/parts\/1$/, 'cut'],
    [/complete$/, { status: 500, code: '' }],
    [/complete$/, { status: 409, code: 'part_mismatch' }],
  ];
  edge.mishap = (_method, path) => {
    const at = mishaps.findIndex(([what]) => what.test(path));
    return at < 0 ? null : (mishaps.splice(at, 1)[0]?.[1] ?? null);
  };
  const signalling = node.publishing(ROOM);
  // 17 MB in 5 s.
  const video = {
    codec: 'H264',
    framesPerSecond: 30,
    packetsPerSecond: 3_000,
    bitrateBps: 27_000_000,
    keyframeEveryMs: 2_000,
    width: 64,
    height: 48,
  } as const;
  await start(publish({ signalling, video }));
  node.apply(ROOM, { publisher: { session: signalling.session, generation: 1 }, recording: { format: 'mp4' } });
  await until(
    () => (edge.all[0]?.earlyParts ?? 0) > 0,
    () =>
      [...edge.requests.filter((r) => !r.startsWith('PATCH')), ...node.logs, JSON.stringify(mishaps.map(String))].join(
        '\n',
      ),
    60_000,
  );
  node.apply(ROOM, { publisher: { session: signalling.session, generation: 1 }, recording: null });
  await settled(edge, 1);
  expect(mishaps).toEqual([]);
  expect(edge.all[0]?.states).toEqual(expect.arrayContaining(['recording', 'uploading', 'ready']));
  const copy = join(await temporaryFolder(), 'copy.mp4');
  await writeFile(copy, edge.all[0]?.object ?? '');
  const { tracks } = await readRecorded(copy);
  for (const { packets, decoded } of tracks) expect(decoded).toBe(packets);
  await until(() => edge.all[0]?.state === 'ready', 'ready');
  const local = (): Promise<Buffer | null> => readFile(join(folder, edge.all[0]?.begin.name ?? '')).catch(() => null);
  await expect.poll(local, { timeout: SETTLE_MS }).toBeNull();
});
