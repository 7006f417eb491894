/** 5 % of all datagrams are lost, in both directions, between publisher and node and between node and viewer. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { UdpProxy } from '../support/udp-proxy.ts';
import { playsOn, sent } from './support/media-stats.ts';
import { longestGapMs, measureGaps, routeThrough, startPublishing } from './support/project-pages.ts';
import { freshRoom } from './support/until.ts';

const LOSS_RATE = 0.05;
const DELAY_MS = 10;
/** At 30 frames a second; nine tenths of some eight seconds. */
const FRAMES = 220;
const LONGEST_GAP_MS = 3_000;

let vestibule: Vestibule;
let chromium: Chromium;

beforeAll(async () => {
  [vestibule, chromium] = await Promise.all([startVestibule(), launchChromium()]);
});

afterEach(async () => {
  await Promise.all(chromium.context.pages().map((page) => page.close()));
});

afterAll(async () => {
  await chromium?.close();
  await vestibule?.stop();
});

test.each(['H264', 'VP8'] as const)('%s keeps playing: both ways repair what is lost', async (codec) => {
  const room = freshRoom();
  const node = vestibule.node.addresses[0] ?? '';
  await using upstream = await UdpProxy.open(node, 11);
  await using downstream = await UdpProxy.open(node, 12);
  const publisher = await chromium.context.newPage();
  await routeThrough(publisher, upstream);
  await publisher.goto(`${vestibule.url}/web/publisher.html?room=${room}`);
  await startPublishing(publisher, { codec });
  const player = await chromium.context.newPage();
  await routeThrough(player, downstream);
  await player.goto(`${vestibule.url}/web/player.html?room=${room}`);
  await playsOn(player);

  await measureGaps(player);
  for (const proxy of [upstream, downstream]) proxy.impair({ lossRate: LOSS_RATE, delayMs: DELAY_MS });
  const after = await playsOn(player, FRAMES, 40_000);

  expect(upstream.up.dropped).toBeGreaterThan(5);
  expect(downstream.down.dropped).toBeGreaterThan(5);
  expect(await longestGapMs(player)).toBeLessThan(LONGEST_GAP_MS);
  expect(after.nacks).toBeGreaterThan(0);
  expect(after.repaired).toBeGreaterThan(0);
  const publishing = await sent(publisher);
  expect(publishing?.nacks).toBeGreaterThan(0);
  expect(publishing?.retransmitted).toBeGreaterThan(0);
});
