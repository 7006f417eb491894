/** What is published on a node goes to a real RTMP server through a real ffmpeg. */
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { expect, onTestFinished, test } from 'vitest';
import { AddressPolicy } from '../../media-node/push/address-policy.ts';
import { LivePush } from '../../media-node/push/live-push.ts';
import type { PushSource } from '../../media-node/push/push-attempt.ts';
import type { LiveReport } from '../../shared/protocol/control.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { lobbyOf, type NodeUnderTest, openNodeUnderTest } from '../support/node-under-test.ts';
import { AAC, AVC, RtmpSink } from '../support/rtmp-sink.ts';
import { until } from '../support/until.ts';
import { WhipFront } from '../support/whip-front.ts';
import { publishWithWrtc } from '../support/wrtc-peer.ts';

const FFMPEG = (createRequire(import.meta.url)('@ffmpeg-installer/ffmpeg') as { path: string }).path;
const ROOM = 'studio';
const ON_AIR_MS = 30_000;
const KEY = 'sekret-Key_1';

async function studio(kind: 'h264' | 'vp8'): Promise<NodeUnderTest> {
  const node = await openNodeUnderTest();
  onTestFinished(() => node.close());
  const front = await WhipFront.open(() => node.publishing(ROOM));
  onTestFinished(() => front.close());
  const publisher =
    kind === 'h264'
      ? await publishWithFfmpeg({ url: front.url, gopFrames: 30 })
      : await publishWithWrtc({ url: front.url, codec: 'VP8' });
  onTestFinished(() => publisher.kill());
  await until(() => sourcesOf(node).length === 2, 'two tracks', ON_AIR_MS);
  return node;
}

function sourcesOf(node: NodeUnderTest): PushSource[] {
  const [lobby] = node.node.lobbies();
  const publisher = lobby?.publisher;
  return (publisher?.sources ?? []).flatMap(({ mid, codec }) => {
    const track = publisher?.sourceTrack(mid) ?? null;
    return track === null ? [] : [{ key: mid, codec, track }];
  });
}

function push(node: NodeUnderTest, url: string, options: { allowed?: string[]; sources?: PushSource[] } = {}) {
  const reports: LiveReport[] = [];
  const live: LivePush = new LivePush(
    {
      context: {
        endpoint: node.endpoint,
        forwarder: node.forwarder,
        now: () => performance.now(),
        log: (message) => void node.logs.push(message),
      },
      lobby: lobbyOf(ROOM),
      live: 'live-1',
      url,
      policy: new AddressPolicy(options.allowed ?? ['127.0.0.1']),
      ffmpeg: () => FFMPEG,
      onChange: () => void reports.push(live.report()),
    },
    options.sources ?? sourcesOf(node),
  );
  onTestFinished(() => live.stop());
  const state = (wanted: LiveReport['state'], ms = ON_AIR_MS) =>
    until(
      () => live.report().state === wanted,
      () => `${wanted}; ${JSON.stringify(reports)}`,
      ms,
    );
  return { live, reports, state };
}

/** The ffmpeg processes of this one, zombies included. */
function ffmpegs(): { pid: number; args: string; environ: string }[] {
  return readdirSync('/proc').flatMap((entry) => {
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      if (Number(parent) !== process.pid || !stat.includes('(ffmpeg)')) return [];
      const args = readFileSync(`/proc/${entry}/cmdline`, 'latin1');
      return [{ pid: Number(entry), args, environ: readFileSync(`/proc/${entry}/environ`, 'latin1') }];
    } catch {
      return [];
    }
  });
}

async function sink(options: { refuses?: boolean } = {}): Promise<RtmpSink> {
  const opened = await RtmpSink.open(options);
  onTestFinished(() => opened.close());
  return opened;
}

test.each([
  ['h264', { videoWidth: 640, videoHeight: 360 }],
  ['vp8', { videoWidth: 1280, videoHeight: 720 }],
] as const)('%s arrives as H.264 and AAC, and stop ends it', async (kind, size) => {
  const [server, node] = await Promise.all([sink(), studio(kind)]);
  const { live, reports, state } = push(node, `${server.url}/${KEY}`);
  await state('online');
  const media = await server.event('media', KEY, ON_AIR_MS);
  expect(media).toMatchObject({ videoCodec: AVC, audioCodec: AAC, audioSamplerate: 48_000, audioChannels: 2, ...size });
  const [running, ...others] = ffmpegs();
  expect(others).toEqual([]);
  expect(running?.args).not.toContain(KEY);
  expect(running?.environ).not.toContain(KEY);
  expect(execFileSync('ps', ['-o', 'args=', '-p', String(running?.pid)], { encoding: 'utf8' })).not.toContain(KEY);

  // Media goes on flowing, not only at the start.
  const later = server.bytes(KEY);
  await expect.poll(() => server.bytes(KEY), { timeout: ON_AIR_MS }).toBeGreaterThan(later + 200_000);
  await live.stop();
  expect(live.report()).toEqual({ lobby: lobbyOf(ROOM), live: 'live-1', state: 'ended' });
  expect(ffmpegs()).toEqual([]);
  await server.event('gone', KEY, ON_AIR_MS);
  expect(reports.map((report) => report.state)).toEqual(['online', 'ended']);
  await live.stop();
});

test('comes back when ffmpeg is killed', async () => {
  const [server, node] = await Promise.all([sink(), studio('h264')]);
  const { state, reports } = push(node, `${server.url}/${KEY}`);
  await state('online', ON_AIR_MS);
  const [running] = ffmpegs();
  if (running === undefined) throw new Error('no ffmpeg runs');
  process.kill(running.pid, 'SIGKILL');
  await state('retrying');
  await state('online', ON_AIR_MS);
  expect(reports.find((report) => report.state === 'retrying')?.error).toContain('ffmpeg ended by SIGKILL');
  expect(ffmpegs()).toHaveLength(1);
});

test('says what is wrong and keeps the key to itself', async () => {
  const [server, node] = await Promise.all([sink({ refuses: true }), studio('h264')]);
  const refused = push(node, `${server.url}/${KEY}?token=abc`);
  await refused.state('retrying');
  expect(refused.live.report().error).toMatch(/server (closed|refused|ended)/);
  await refused.live.stop();

  const nobody = push(node, `rtmp://127.0.0.1:1/live/${KEY}`);
  await nobody.state('retrying');
  expect(nobody.live.report().error).toContain('ECONNREFUSED');
  await nobody.live.stop();

  const inside = push(node, `rtmp://localhost/live/${KEY}`, { allowed: [] });
  await inside.state('retrying');
  expect(inside.live.report().error).toContain('not public');
  await inside.live.stop();

  const nothing = push(node, `${server.url}/${KEY}`, { sources: [] });
  await nothing.state('retrying');
  expect(nothing.live.report().error).toBe('no main track is here');
  expect(ffmpegs()).toEqual([]);
  expect(node.logs.join('\n')).not.toContain(KEY);
  expect(node.logs.length).toBeGreaterThan(3);
});

test('two at a time, each with its own ports', async () => {
  const [server, node] = await Promise.all([sink(), studio('h264')]);
  const first = push(node, `${server.url}/one`);
  const second = push(node, `${server.url}/two`);
  await Promise.all([server.event('media', 'one', ON_AIR_MS), server.event('media', 'two', ON_AIR_MS)]);
  await Promise.all([first.state('online'), second.state('online')]);
  await first.live.stop();
  await server.event('gone', 'one', ON_AIR_MS);
  expect(second.live.report().state).toBe('online');
});
