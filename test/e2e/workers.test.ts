/** `npm start -- --workers 2`: rooms on both, and one of them dies. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { type Publisher, publish } from '../support/client/publisher.ts';
import { play, type Viewer } from '../support/client/viewer.ts';
import { LineProcess } from '../support/line-process.ts';

const READY_MS = 30_000;
const DEADLINE_MS = 20_000;
const BETWEEN_ROOMS_MS = 300;
const WORKERS = ['local-1', 'local-2'];

const readySchema = z.object({
  url: z.url(),
  node: z.object({
    linked: z.boolean(),
    status: z.string(),
    workers: z.array(z.object({ node: z.string(), pid: z.int() })),
  }),
});

let directory: string;
let launcher: LineProcess;
let ready: z.infer<typeof readySchema>;
const publishers: Publisher[] = [];
const viewers: Viewer[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'vestibule-workers-'));
  launcher = new LineProcess({
    script: ['edge/local/start.ts', '--workers', '2'],
    env: {
      HOST: '127.0.0.1',
      PORT: '0',
      MEDIA_PORT: '0',
      MEDIA_ADDRESSES: '127.0.0.1',
      NODE_STATUS_PORT: '0',
      VESTIBULE_STATE: directory,
      VESTIBULE_READY: 'json',
      npm_lifecycle_event: undefined,
    },
  });
  ready = readySchema.parse(await launcher.event('ready', READY_MS));
});
afterAll(async () => {
  await Promise.allSettled([...viewers, ...publishers].map((client) => client.close()));
  await launcher.end();
  await rm(directory, { recursive: true, force: true });
});

async function sessionsOf(node: string): Promise<number> {
  const text = await (await fetch(`http://${ready.node.status}/metrics`)).text();
  return Number(new RegExp(`^vestibule_node_sessions\\{node="${node}"\\} (\\d+)$`, 'm').exec(text)?.[1]);
}

function packetsOf(viewer: Viewer): number {
  return viewer.tracks.reduce((sum, { packets }) => sum + packets, 0);
}

test('rooms are spread over the workers; when one dies the rooms on the other go on, and it comes back', async () => {
  expect(ready.node.workers.map(({ node }) => node)).toEqual(WORKERS);
  await expect
    .poll(async () => (await fetch(`http://${ready.node.status}/readyz`)).status, { timeout: DEADLINE_MS })
    .toBe(200);
  // The edge looks at its nodes every few seconds, so the second one may get its rooms a little later than the first.
  let sessions = [0, 0];
  /** By room: what it is to each worker. A viewer may come by the other worker, which then pulls its room. */
  const shares: number[][] = [];
  const onlyOn = (worker: number): Viewer[] => viewers.filter((_, room) => shares[room]?.[1 - worker] === 0);
  const deadlineMs = performance.now() + DEADLINE_MS;
  for (let index = 0; [0, 1].some((worker) => onlyOn(worker).length === 0) && performance.now() < deadlineMs; index++) {
    const room = `room-${index}`;
    publishers.push(await publish({ url: `${ready.url}/api/whip/publish/${room}`, audio: null }));
    viewers.push(await play({ url: `${ready.url}/api/whep/play/${room}`, audio: null }));
    const before = sessions;
    sessions = await Promise.all(WORKERS.map(sessionsOf));
    shares.push(sessions.map((count, worker) => count - (before[worker] ?? 0)));
    await delay(BETWEEN_ROOMS_MS);
  }
  for (const worker of [0, 1]) expect(onlyOn(worker), JSON.stringify(shares)).not.toEqual([]);
  await expect.poll(() => Math.min(...viewers.map(packetsOf)), { timeout: DEADLINE_MS }).toBeGreaterThan(0);

  const before = launcher.events.length;
  process.kill(ready.node.workers[0]?.pid ?? 0, 'SIGKILL');
  const killedMs = performance.now();
  expect(await launcher.event('worker', DEADLINE_MS, before)).toMatchObject({ node: 'local-1' });

  const atReturn = new Map(viewers.map((viewer) => [viewer, packetsOf(viewer)]));
  const getsMore = (viewer: Viewer): boolean => packetsOf(viewer) > (atReturn.get(viewer) ?? 0);
  await expect.poll(() => onlyOn(1).every(getsMore), { timeout: DEADLINE_MS }).toBe(true);
  expect(onlyOn(0).filter(getsMore)).toEqual([]);
  // Without a hole, from before it happened.
  for (const { tracks } of onlyOn(1)) {
    for (const track of tracks) {
      expect(track.firstArrivalMs).toBeLessThan(killedMs);
      expect(track.gaps).toBe(0);
    }
  }
  // The new one is a node like any other.
  await expect
    .poll(async () => (await fetch(`http://${ready.node.status}/readyz`)).status, { timeout: DEADLINE_MS })
    .toBe(200);
  const { workers } = ready.node;
  await launcher.end();
  expect(launcher.outcome).toBe('exit code 0');
  for (const { pid } of workers) expect(() => process.kill(pid, 0)).toThrow('ESRCH');
});
