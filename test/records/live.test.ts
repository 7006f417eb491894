/** One system, several rooms at once: what happens to a recording while it is made, and who may have it afterwards. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { mediaLoss } from '../support/client/impairment.ts';
import { type Publisher, publish } from '../support/client/publisher.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { readRecorded, soundDelaysMs } from './support/recorded.ts';
import { ADMIN, NODE_TOKEN, type RecordedSystem, startRecordedSystem } from './support/system.ts';

const AWAY_MS = 3_000;
const LOSS = 0.1;
/** No keyframe comes within the time of a test. */
const SELDOM_GOP_FRAMES = 270;

let system: RecordedSystem;
beforeAll(async () => {
  system = await startRecordedSystem({ env: { RECORD_ENABLED: '0' } });
});
afterAll(async () => {
  await system?.close();
});

describe.concurrent('recorded', () => {
  test('10 % of all packets lost for good, and a publisher that is gone for 3 s: one file, honest times', {
    timeout: 60_000,
  }, async () => {
    const room = 'bad-network';
    await system.record(room, true);
    const lossy = (seed: number): Promise<Publisher> =>
      publish({
        url: system.publishUrl(room),
        impair: { outgoing: mediaLoss(LOSS, seed) },
        answersNack: false,
      });
    const first = await lossy(1);
    const startMs = performance.now();
    await delay(4_000);
    const leftMs = performance.now();
    await first.leave();
    await delay(AWAY_MS);
    const second = await lossy(2);
    const awayS = (performance.now() - leftMs) / 1000;
    await delay(4_000);
    const seconds = (performance.now() - startMs) / 1000;
    await second.close();

    const [record] = await system.settled(room);
    if (record === undefined) throw new Error('no record');
    expect(record.state).toBe('ready');
    const { tracks, durationS } = await readRecorded(await system.download(record));
    expect(Math.abs(durationS - seconds)).toBeLessThan(1);
    for (const { packets, decoded } of tracks) expect(decoded).toBe(packets);
    const audio = tracks.find(({ kind }) => kind === 'audio');
    expect(audio?.packets).toBeLessThan(50 * (seconds - awayS) * (1 - LOSS / 2));
    expect(Math.abs((audio?.largestGapS ?? 0) - awayS)).toBeLessThan(0.7);
  });

  test('switched on in mid-stream of an FFmpeg that sends keyframes seldom: nothing is missed; progress shows', {
    timeout: 60_000,
  }, async () => {
    const room = 'mid-stream';
    const publisher = await publishWithFfmpeg({
      url: system.publishUrl(room),
      gopFrames: SELDOM_GOP_FRAMES,
      marks: true,
    });
    try {
      await delay(1_500);
      await system.record(room, true);
      const onMs = performance.now();
      const sizes = new Set<number>();
      await system.when(
        ([record]) => record?.state === 'recording' && sizes.add(record.size).size >= 2 && record.durationMs > 2_000,
        'a recording that grows',
        room,
      );
      const rooms = (await (await fetch(`${system.url}/api/rooms`)).json()) as { name: string; recording: unknown }[];
      expect(rooms.find(({ name }) => name === room)?.recording).toEqual({ state: 'recording', error: null });
      const seconds = (performance.now() - onMs) / 1000;
      await system.record(room, false);
      const [record] = await system.settled(room);
      if (record === undefined) throw new Error('no record');
      const facts = await readRecorded(await system.download(record));
      const video = facts.tracks.find(({ kind }) => kind === 'video');
      expect(Math.abs(facts.durationS - seconds)).toBeLessThan(1);
      expect(video?.decoded).toBe(video?.packets);
      expect(video?.firstS).toBeLessThan(0.1);
      // The pictures since the keyframe are at the start, and from there on all are in their place.
      expect(video?.largestGapS).toBeLessThan(0.2);
      expect(video?.packets).toBeGreaterThan(30 * seconds + 20);
      const delays = soundDelaysMs(facts).toSorted((a, b) => a - b);
      expect(Math.abs(delays[Math.floor(delays.length / 2)] ?? Number.NaN)).toBeLessThan(40);
    } finally {
      await publisher.kill();
    }
  });

  test('is for operators and for those with a link, and for nobody else', { timeout: 30_000 }, async () => {
    const room = 'private';
    await system.record(room, true);
    const publisher = await publish({ url: system.publishUrl(room) });
    await delay(2_000);
    await publisher.close();
    const [record] = await system.settled(room);
    if (record === undefined) throw new Error('no record');
    const statusOf = async (path: string, init: RequestInit = {}): Promise<number> => {
      const answer = await fetch(`${system.url}${path}`, init);
      await answer.body?.cancel();
      return answer.status;
    };
    const path = `/records/${record.name}`;
    const link = record.url ?? '';
    const asNode = { Authorization: `Bearer ${NODE_TOKEN}`, 'Vestibule-Node': 'another-node' };
    const progress = JSON.stringify({ state: 'failed', bytes: 0, durationMs: 0 });

    expect(await statusOf(path)).toBe(401);
    expect(await statusOf(path, { headers: { Authorization: 'Bearer wrong' } })).toBe(401);
    expect(await statusOf(path, { headers: { Authorization: `Bearer ${NODE_TOKEN}` } })).toBe(401);
    expect(await statusOf(path, { headers: ADMIN })).toBe(200);
    expect(await statusOf(link)).toBe(200);
    expect(await statusOf(link.replace(record.name, record.name.replace('private', 'another')))).toBe(403);
    expect(await statusOf(`${link}0`)).toBe(403);
    expect(await statusOf(link, { method: 'DELETE' })).toBe(401);
    const short = await fetch(`${system.url}/api/records/${record.name}/link`, {
      method: 'POST',
      headers: { ...ADMIN, 'Content-Type': 'application/json' },
      body: JSON.stringify({ expiresInSeconds: 1 }),
    });
    const { url } = (await short.json()) as { url: string };
    const { pathname, search } = new URL(url);
    expect(await statusOf(pathname + search)).toBe(200);
    await expect.poll(() => statusOf(pathname + search), { timeout: 5_000, interval: 300 }).toBe(403);
    // fetch would resolve plain dots itself.
    for (const name of ['..%2f..%2fsecrets.json', '%2e%2e%2fsecrets.json', '..%5c..%5csecrets', '%00', 'a%2fb.mp4']) {
      expect(await statusOf(`/records/${name}`, { headers: ADMIN }), name).toBe(404);
    }
    const headers = { ...asNode, 'Content-Type': 'application/json' };
    expect(await statusOf(`/node/records/${record.id}`, { method: 'PATCH', headers, body: progress })).toBe(404);
    expect(await statusOf(`/node/records/${record.id}/upload`, { method: 'POST', headers: ADMIN })).toBe(401);
    expect((await system.list(room))[0]?.state).toBe('ready');
  });
});
