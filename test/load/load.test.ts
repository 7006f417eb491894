/** The tool as its user starts it, against a whole system. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { z } from 'zod';
import { until } from '../e2e/support/until.ts';
import { PROJECT_ROOT } from '../support/line-process.ts';
import { videoClip } from '../support/media/clips.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';

const VIEWERS = 5;
const PPS = 110;
/** Far below the time after which silent viewers are given up. */
const GONE_DEADLINE_MS = 3_000;

let vestibule: Vestibule;

beforeAll(async () => {
  vestibule = await startVestibule();
});

afterAll(async () => {
  await vestibule?.stop();
});

interface Outcome {
  code: unknown;
  stdout: string;
  stderr: string;
}

function load(...args: string[]): { interrupt(): void; outcome: Promise<Outcome> } {
  const child = spawn(process.execPath, ['test/load/main.ts', ...args], {
    cwd: PROJECT_ROOT,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const outcome = Promise.all([once(child, 'exit'), text(child.stdout), text(child.stderr)]).then(
    ([[code], stdout, stderr]) => ({ code, stdout, stderr }),
  );
  return { interrupt: () => child.kill('SIGINT'), outcome };
}

const paths = { publish: 'api/whip/publish', play: 'api/whep/play' } as const;

function urlOf(kind: keyof typeof paths, room: string): string {
  return `${vestibule.url}/${paths[kind]}/${room}`;
}

const roomsSchema = z.array(z.object({ name: z.string(), hasPublisher: z.boolean(), subscribers: z.number() }));

async function roomNamed(name: string) {
  const response = await fetch(`${vestibule.url}/api/rooms`);
  return roomsSchema.parse(await response.json()).find((room) => room.name === name);
}

/** Publishes until interrupted; resolves when viewers are let in. */
async function publishing(room: string) {
  const publisher = load('publish', urlOf('publish', room), '--pps', String(PPS), '--bitrate', '300k', '--json');
  await until('somebody publishes', async () => (await roomNamed(room))?.hasPublisher ?? null);
  return publisher;
}

const playSchema = z.object({
  viewers: z.number(),
  connected: z.number(),
  withMedia: z.number(),
  failed: z.number(),
  ended: z.number(),
  seconds: z.number(),
  packetsPerSecondPerViewer: z.object({ mean: z.number(), least: z.number() }),
  bytesPerSecond: z.number(),
  loss: z.number(),
  joinMs: z.object({ p50: z.number(), p95: z.number(), p99: z.number() }),
  starved: z.number(),
  overflowed: z.number(),
  feedbackPerSecond: z.number(),
  server: z.object({ usPerPacket: z.number(), pids: z.array(z.number()) }).nullable(),
});

test.each([
  ['in one process', []],
  ['in two processes', ['--processes', '2']],
  ['counted in JavaScript', ['--no-native', '--srtp', 'both']],
])('five viewers %s see what one publisher sends', async (name, how) => {
  const room = `load-${name.replaceAll(' ', '-')}`;
  const publisher = await publishing(room);
  const options = ['-n', String(VIEWERS), '--seconds', '2', '--feedback', 'rr:5,nack:5,pli:1', ...how];
  const played = await load('play', urlOf('play', room), ...options, '--json').outcome;
  publisher.interrupt();
  const published = await publisher.outcome;

  expect(played).toMatchObject({ code: 0, stderr: '' });
  const summary = playSchema.parse(JSON.parse(played.stdout));
  expect(summary).toMatchObject({
    viewers: VIEWERS,
    connected: VIEWERS,
    withMedia: VIEWERS,
    failed: 0,
    ended: 0,
    loss: 0,
  });
  // A busy machine sends late, and then all at once.
  expect(summary.packetsPerSecondPerViewer.least).toBeGreaterThan(PPS / 2);
  expect(summary.packetsPerSecondPerViewer.mean).toBeLessThan(PPS * 2);
  expect(summary.joinMs.p50).toBeLessThanOrEqual(summary.joinMs.p99);
  // The node is found by its port.
  expect(summary.server?.pids).toEqual([vestibule.node.pid]);
  expect(summary.feedbackPerSecond).toBeGreaterThan(VIEWERS);
  expect(summary.overflowed).toBe(0);
  expect(published).toMatchObject({ code: 0, stderr: '' });
  expect(JSON.parse(published.stdout)).toMatchObject({ connected: 1, ended: false, failures: {} });
});

test('a file is published over and over', async () => {
  const publisher = load('publish', urlOf('publish', 'load-file'), '--file', await videoClip('VP9'), '--json');
  await until('somebody publishes', async () => (await roomNamed('load-file'))?.hasPublisher ?? null);
  const options = ['-n', '2', '--seconds', '3', '--codec', 'VP9', '--json'];
  const played = await load('play', urlOf('play', 'load-file'), ...options).outcome;
  publisher.interrupt();

  expect(played).toMatchObject({ code: 0, stderr: '' });
  expect(playSchema.parse(JSON.parse(played.stdout))).toMatchObject({
    connected: 2,
    withMedia: 2,
    loss: 0,
    starved: 0,
  });
  const published = JSON.parse((await publisher.outcome).stdout);
  // Two seconds with four keyframes, again and again.
  expect(published.keyframes).toBeGreaterThan(4);
});

test('Ctrl-C ends viewers in order: the summary comes, and the sessions are gone', async () => {
  const publisher = await publishing('load-interrupted');
  const player = load('play', urlOf('play', 'load-interrupted'), '-n', '3', '--seconds', '0', '--json');
  await until('all have joined', async () => (await roomNamed('load-interrupted'))?.subscribers === 3);
  // npm passes on what the terminal has sent already.
  player.interrupt();
  player.interrupt();
  const outcome = await player.outcome;

  expect(outcome.code).toBe(0);
  expect(playSchema.pick({ connected: true }).parse(JSON.parse(outcome.stdout)).connected).toBe(3);
  // The list of rooms follows what happens, a little later.
  await until('they are gone', async () => (await roomNamed('load-interrupted'))?.subscribers === 0, GONE_DEADLINE_MS);
  publisher.interrupt();
  await publisher.outcome;
});

test('where nobody publishes nothing connects, and the reason is told', async () => {
  const outcome = await load('play', urlOf('play', 'load-nobody'), '-n', '3').outcome;

  expect(outcome.code).toBe(1);
  expect(outcome.stdout).toContain('HTTP 404: nobody publishes there');
});

test('a wrong command says what is wrong', async () => {
  const outcome = await load('play', 'nowhere').outcome;

  expect(outcome).toMatchObject({ code: 2, stdout: '' });
  expect(outcome.stderr).toContain('no http or https URL');
});
