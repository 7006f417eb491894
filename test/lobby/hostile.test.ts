/** Members who do their worst: the picture of the others goes on, memory stays bounded, and who does not stop is let go. */
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { observe } from '../e2e/support/until.ts';
import { LineProcess } from '../support/line-process.ts';
import { bareOffer, LobbyMember, type MemberOptions, postOffer } from '../support/lobby/lobby-member.ts';
import { LobbyServer, type StreamPath } from '../support/lobby/lobby-server.ts';

const JOINED_MS = 20_000;
const ATTACK_MS = 4_000;
/** Who floods is watched for 10 s. */
const LET_GO_MS = 20_000;
/** Of the frames that leave the sender, whose machine the attacker shares. */
const ENOUGH = 0.25;
const LEAST_FRAMES = 10;
const LONGEST_GAP_MS = 3_000;
const MEMORY_BYTES = 80 * 1024 * 1024;

let server: LobbyServer;

beforeAll(async () => {
  server = await LobbyServer.start();
});

afterAll(() => server?.stop());

async function join(stream: StreamPath, user: string, options: MemberOptions = {}): Promise<LobbyMember> {
  const member = await LobbyMember.join(server, stream, user, options);
  onTestFinished(() => member.vanish());
  return member;
}

async function attacker(kind: string, stream: StreamPath): Promise<LineProcess> {
  const { url, path, bearer } = await server.entry(stream, 'u3');
  const child = new LineProcess({ script: ['test/support/lobby/hostile-process.ts', kind, url, path, bearer] });
  onTestFinished(() => child.end('SIGKILL'));
  await child.event('joined', JOINED_MS);
  return child;
}

function nodeBytes(): number {
  const status = readFileSync(`/proc/${server.vestibule.node.pid}/status`, 'utf8');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) * 1024;
}

function sentBy(child: LineProcess): number {
  return Number(child.events.findLast(({ event }) => event === 'sent')?.sent ?? 0);
}

test.each([
  ['junk', 3_000],
  ['mutes', 2_000],
  ['channels', 3_000],
  ['big', 2],
] as const)('%s: the picture of the others goes on', { timeout: 90_000 }, async (kind, atLeast) => {
  const stream = await server.stream();
  const [u1, u2] = await Promise.all([
    join(stream, 'u1', { info: '2 2 Main' }),
    join(stream, 'u2', { info: '1 2 Cam' }),
  ]);
  const child = await attacker(kind, stream);
  const heard = kind === 'big' ? ['1 2 Cam', '1 2 Cam'] : ['1 2 Cam', '1 2 Cam', '1 2 Hostile'];
  await u1.hears(heard);
  await u1.plays(1);
  const pictures = u1.watch();
  const before = nodeBytes();

  child.send('begin');
  await child.event('sent', JOINED_MS);
  const sentBefore = await u2.framesSent();
  pictures.reset();
  await observe(ATTACK_MS);
  const { frames, longestGapMs } = pictures.seen();
  const due = (await u2.framesSent()) - sentBefore;
  const story = JSON.stringify({ frames, due, longestGapMs, sent: sentBy(child), grownBytes: nodeBytes() - before });

  expect(sentBy(child), story).toBeGreaterThan(atLeast);
  expect(frames, story).toBeGreaterThanOrEqual(Math.max(LEAST_FRAMES, due * ENOUGH));
  expect(longestGapMs, story).toBeLessThan(LONGEST_GAP_MS);
  expect(nodeBytes() - before, story).toBeLessThan(MEMORY_BYTES);
  // The others can still do what they came for.
  u2.mute('audio', true);
  await expect.poll(() => u1.mutes.some(({ mute }) => mute)).toBe(true);
  if (kind !== 'big') {
    // Let go: its tracks are gone, and its place is free.
    await u1.hears(['1 1 Cam', '1 2 Cam'], LET_GO_MS);
    // The edge hears of it a moment after the members.
    const [entry, offer] = [await server.entry(stream, 'u3'), await bareOffer()];
    await expect.poll(async () => (await postOffer(entry, offer)).status).toBe(201);
  }
  await Promise.all([u1.plays(), u2.plays()]);
});
