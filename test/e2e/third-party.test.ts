/** Client libraries of other people publish and play, unchanged, from a page of another origin. */
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { freeUdpPort } from '../support/free-port.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import type { ClientName } from './in-page/third-party.ts';
import { type ClientSite, openClientSite } from './support/client-page.ts';
import { playsOn, sent } from './support/media-stats.ts';
import { pageState, watch } from './support/project-pages.ts';
import { freshRoom, until } from './support/until.ts';

const PUBLISHERS = ['whip-whep publisher', 'eyevinn publisher', 'eyevinn publisher without trickle'] as const;
const PLAYERS = ['whip-whep player', 'eyevinn player'] as const;
const TOKEN_ROOM = 'third-party-token';
const TOKEN = 'token-of-the-room';

let vestibule: Vestibule;
let chromium: Chromium;
let site: ClientSite;

beforeAll(async () => {
  [vestibule, chromium, site] = await Promise.all([
    // A STUN server that is not there: the clients take it from the Link header and must do without its answers.
    freeUdpPort().then((port) =>
      startVestibule({ env: { ROOM_TOKENS: `${TOKEN_ROOM}:${TOKEN}`, STUN_URLS: `stun:127.0.0.1:${port}` } }),
    ),
    launchChromium(),
    openClientSite(),
  ]);
});

afterEach(async () => {
  await Promise.all(chromium.context.pages().map((page) => page.close()));
});

afterAll(async () => {
  await chromium?.close();
  await site?.close();
  await vestibule?.stop();
});

interface Client {
  page: Page;
  /** Requests to the server with their status, e.g. `PATCH 204`. */
  exchanges: string[];
  /** What the page threw without catching it. */
  errors: string[];
  stop(): Promise<void>;
}

async function start(name: ClientName, room: string, token?: string): Promise<Client> {
  const page = await site.open(chromium.context);
  const exchanges: string[] = [];
  const errors: string[] = [];
  page.on('response', (response) => exchanges.push(`${response.request().method()} ${response.status()}`));
  page.on('pageerror', (error) => errors.push(error.message));
  const endpoint = name.includes('publisher') ? 'whip/publish' : 'whep/play';
  await page.evaluate(
    async ([client, url, secret]) => {
      globalThis.running = await globalThis.clients[client](url, secret);
    },
    [name, `${vestibule.url}/api/${endpoint}/${room}`, token] as const,
  );
  // Some libraries return before they have an answer.
  if (name.includes('publisher')) await until('frames are sent', async () => ((await sent(page))?.framesSent ?? 0) > 0);
  return { page, exchanges, errors, stop: () => page.evaluate(() => globalThis.running?.stop()) };
}

test.each(PUBLISHERS)('%s is watched in the player page, and its DELETE ends the room', async (name) => {
  const room = freshRoom();
  const publisher = await start(name, room);
  const player = await watch(chromium.context, vestibule.url, room);

  await playsOn(player);
  await publisher.stop();
  await pageState(player, 'waiting');

  await until('the DELETE is answered', () => publisher.exchanges.includes('DELETE 200'));
  expect(publisher.errors).toEqual([]);
  expect(publisher.exchanges.filter((exchange) => /[45]\d\d$/.test(exchange))).toEqual([]);
});

test.each(PLAYERS)('%s plays what whip-whep publishes', async (name) => {
  const room = freshRoom();
  const publisher = await start('whip-whep publisher', room);
  const player = await start(name, room);

  await playsOn(player.page);
  await player.stop();

  await until('the DELETE is answered', () => player.exchanges.includes('DELETE 200'));
  expect([...publisher.errors, ...player.errors]).toEqual([]);
  expect(publisher.exchanges).toContain('PATCH 204');
});

test('whip-whep restarts ICE on both ends, and the picture goes on', async () => {
  const room = freshRoom();
  const publisher = await start('whip-whep publisher', room);
  const player = await start('whip-whep player', room);
  await playsOn(player.page);
  const before = await sent(publisher.page);

  for (const { page, exchanges } of [publisher, player]) {
    await page.evaluate(() => globalThis.running?.restart?.());
    await until('the restart is answered', () => exchanges.includes('PATCH 200'));
    await playsOn(player.page, 30);
  }

  const after = await sent(publisher.page);
  expect(after?.iceLocal).not.toBe(before?.iceLocal);
  expect([...publisher.errors, ...player.errors]).toEqual([]);
});

test('tokens of the libraries are understood', async () => {
  const publisher = await start('eyevinn publisher', TOKEN_ROOM, TOKEN);
  const [one, other] = [
    await start('eyevinn player', TOKEN_ROOM, TOKEN),
    await start('whip-whep player', TOKEN_ROOM, TOKEN),
  ];

  await Promise.all([playsOn(one.page), playsOn(other.page)]);

  expect(publisher.errors).toEqual([]);
  await expect(start('whip-whep player', TOKEN_ROOM, 'wrong')).rejects.toThrow('401');
});
