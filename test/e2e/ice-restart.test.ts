/** ICE restarts of the project's own clients while media flows: asked for, and because the path has gone. */
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { UdpProxy } from '../support/udp-proxy.ts';
import { playsOn } from './support/media-stats.ts';
import { publish, routeThrough, startPublishing, watch } from './support/project-pages.ts';
import { freshRoom, until } from './support/until.ts';

/** Chromium notices after some 5 s that a path is dead, and our client waits a moment before it acts. */
const PATH_LOSS_DEADLINE_MS = 30_000;

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

interface Exchange {
  method: string;
  status: number;
  etag: string | null;
}

function recordExchanges(page: Page): Exchange[] {
  const exchanges: Exchange[] = [];
  page.on('response', async (response) => {
    const method = response.request().method();
    if (method !== 'POST' && method !== 'PATCH') return;
    exchanges.push({ method, status: response.status(), etag: await response.headerValue('etag') });
  });
  return exchanges;
}

/** ICE credentials of both ends, and how often DTLS has changed its state since the first call. */
function transport(page: Page): Promise<{ local: string; remote: string; dtls: string; dtlsChanges: number }> {
  return page.evaluate(() => {
    const peer = globalThis.vestibule.client.connection;
    const dtls = [...(peer?.getSenders() ?? []), ...(peer?.getReceivers() ?? [])].find(
      (end) => end.transport,
    )?.transport;
    if (peer === null || dtls === undefined || dtls === null) throw new Error('there is no transport');
    if (globalThis.dtlsChanges === undefined) {
      globalThis.dtlsChanges = 0;
      dtls.addEventListener('statechange', () => {
        globalThis.dtlsChanges = (globalThis.dtlsChanges ?? 0) + 1;
      });
    }
    const ufrag = (sdp: string | undefined): string => /^a=ice-ufrag:(\S+)/m.exec(sdp ?? '')?.[1] ?? '';
    return {
      local: ufrag(peer.localDescription?.sdp),
      remote: ufrag(peer.remoteDescription?.sdp),
      dtls: dtls.state,
      dtlsChanges: globalThis.dtlsChanges,
    };
  });
}

declare global {
  var dtlsChanges: number | undefined;
}

async function expectRestarted(
  page: Page,
  before: Awaited<ReturnType<typeof transport>>,
  exchanges: readonly Exchange[],
): Promise<void> {
  const after = await transport(page);
  expect(after.local).not.toBe(before.local);
  expect(after.remote).not.toBe(before.remote);
  expect(after).toMatchObject({ dtls: 'connected', dtlsChanges: 0 });
  const opened = exchanges.filter(({ method }) => method === 'POST');
  const restarted = exchanges.filter(({ method, status }) => method === 'PATCH' && status === 200);
  expect(opened).toHaveLength(1);
  expect(restarted.length).toBeGreaterThanOrEqual(1);
  const etags = [...opened, ...restarted].map(({ etag }) => etag);
  expect(etags).not.toContain(null);
  expect(new Set(etags).size).toBe(etags.length);
}

test.each(['publisher', 'player'] as const)(
  'a %s that changes its network restarts ICE, and media goes on',
  async (who) => {
    const room = freshRoom();
    const pages = { publisher: await chromium.context.newPage(), player: await chromium.context.newPage() };
    const exchanges = recordExchanges(pages[who]);
    await pages.publisher.goto(`${vestibule.url}/web/publisher.html?room=${room}`);
    await startPublishing(pages.publisher, { codec: 'VP8' });
    await pages.player.goto(`${vestibule.url}/web/player.html?room=${room}`);
    await playsOn(pages.player);
    const before = await transport(pages[who]);

    // What browsers say when the network has changed.
    await pages[who].evaluate(() => dispatchEvent(new Event('online')));
    await until('the restart is answered', () =>
      exchanges.some(({ method, status }) => method === 'PATCH' && status === 200),
    );
    await playsOn(pages.player, 60);

    await expectRestarted(pages[who], before, exchanges);
  },
);

test.each(['publisher', 'player'] as const)('a %s whose path dies finds another one by itself', async (who) => {
  const room = freshRoom();
  await using path = await UdpProxy.open(vestibule.node.addresses[0] ?? '');
  const page = await chromium.context.newPage();
  const exchanges = recordExchanges(page);
  await routeThrough(page, path);
  if (who === 'player') await publish(chromium.context, vestibule.url, room, { codec: 'VP8' });
  await page.goto(`${vestibule.url}/web/${who}.html?room=${room}`);
  if (who === 'publisher') await startPublishing(page, { codec: 'VP8' });
  const player = who === 'player' ? page : await watch(chromium.context, vestibule.url, room);
  await playsOn(player);
  const before = await transport(page);

  path.impair({ cut: true });
  await until(
    'the restart is answered',
    () => exchanges.some(({ method, status }) => method === 'PATCH' && status === 200),
    PATH_LOSS_DEADLINE_MS,
  );
  await playsOn(player, 30);

  await expectRestarted(page, before, exchanges);
});
