/** Processes die by SIGKILL while people watch in a browser. */
import type { Page } from 'playwright-core';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { publishWithWrtc } from '../support/wrtc-peer.ts';
import { playsOn } from './support/media-stats.ts';
import { longestGapMs, measureGaps, publish, watch } from './support/project-pages.ts';
import { freshRoom, until } from './support/until.ts';

const LONGEST_GAP_MS = 3_000;
/** 10 s are promised; another publisher starts and connects within this, too. */
const ROOM_FREE_WITHIN_MS = 20_000;
/** Chromium notices the dead path first, then our clients ask the edge and open anew. */
const PAGES_BACK_WITHIN_MS = 30_000;

let vestibule: Vestibule;
let chromium: Chromium;

beforeEach(async () => {
  [vestibule, chromium] = await Promise.all([startVestibule(), launchChromium()]);
});

afterEach(async () => {
  await chromium?.close();
  await vestibule?.stop();
});

/** The page's session URL and a fragment that trickles one more candidate into it. */
function session(page: Page): Promise<{ url: string; fragment: string }> {
  return page.evaluate(() => {
    const { connection, resourceUrl } = globalThis.vestibule.client;
    const sdp = connection?.localDescription?.sdp ?? '';
    const line = (name: string): string => new RegExp(`^a=${name}:.*$`, 'm').exec(sdp)?.[0].trim() ?? '';
    if (resourceUrl === null) throw new Error('the page has no session');
    const fragment = [
      line('ice-ufrag'),
      line('ice-pwd'),
      'm=audio 9 UDP/TLS/RTP/SAVPF 0',
      line('mid'),
      'a=candidate:1 1 udp 2113937151 127.0.0.1 9 typ host',
      '',
    ].join('\r\n');
    return { url: resourceUrl, fragment };
  });
}

test('the edge is killed: the picture does not stop, and the sessions can be changed and ended afterwards', async () => {
  const room = freshRoom();
  const publisher = await publish(chromium.context, vestibule.url, room, { codec: 'VP8' });
  const player = await watch(chromium.context, vestibule.url, room);
  await playsOn(player);
  await measureGaps(player);
  const sessions = [await session(player), await session(publisher)];

  const restarted = vestibule.killWorkerd();
  await playsOn(player, 60);
  await restarted;
  await playsOn(player, 15);

  expect(await longestGapMs(player)).toBeLessThan(LONGEST_GAP_MS);
  await until('the node is linked again', async () => (await fetch(`${vestibule.url}/readyz`)).ok);
  for (const { url, fragment } of sessions) {
    const patched = await fetch(url, {
      method: 'PATCH',
      headers: { 'content-type': 'application/trickle-ice-sdpfrag' },
      body: fragment,
    });
    expect(patched.status, await patched.text()).toBe(204);
  }
  // A new viewer finds the room as it was.
  await playsOn(await watch(chromium.context, vestibule.url, room));
  for (const { url } of sessions) expect((await fetch(url, { method: 'DELETE' })).status).toBe(200);
  expect((await fetch(sessions[0]?.url ?? '', { method: 'DELETE' })).status).toBe(404);
});

test('the media node is killed: its rooms are free soon, and our pages come back by themselves', async () => {
  const room = freshRoom();
  const otherUrl = `${vestibule.url}/api/whip/publish/${freshRoom()}`;
  await publish(chromium.context, vestibule.url, room, { codec: 'VP8' });
  const player = await watch(chromium.context, vestibule.url, room);
  const other = await publishWithWrtc({ url: otherUrl, codec: 'VP8' });
  await playsOn(player);

  const before = await player.evaluate(() => globalThis.vestibule.client.resourceUrl);
  await vestibule.killNode();
  other.kill();
  const successor = await until(
    'the room is free',
    () => publishWithWrtc({ url: otherUrl, codec: 'VP8' }).catch(() => null),
    ROOM_FREE_WITHIN_MS,
  );
  await successor.stop();
  await until(
    'the player has another session',
    () => player.evaluate((old) => ![null, old].includes(globalThis.vestibule.client.resourceUrl), before),
    PAGES_BACK_WITHIN_MS,
  );
  await playsOn(player, 15, PAGES_BACK_WITHIN_MS);
});
