/** Odd offers and odd bodies while a stream plays: each gets its answer, and the picture goes on. */
import { randomBytes } from 'node:crypto';
import type { Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { offerNames, readOffer } from '../support/recorded-offers.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { playsOn, received } from './support/media-stats.ts';
import { longestGapMs, measureGaps, publish, watch } from './support/project-pages.ts';
import { freshRoom, until } from './support/until.ts';

const ROOM = 'odd-requests';
const LONGEST_GAP_MS = 3_000;
const HUGE_BYTES = 2 * 1024 * 1024;

let vestibule: Vestibule;
let chromium: Chromium;
let player: Page;
let nodePid: number;

beforeAll(async () => {
  [vestibule, chromium] = await Promise.all([startVestibule(), launchChromium()]);
  nodePid = vestibule.node.pid;
  await publish(chromium.context, vestibule.url, ROOM, { codec: 'VP8' });
  player = await watch(chromium.context, vestibule.url, ROOM);
  await playsOn(player);
  await measureGaps(player);
});

afterAll(async () => {
  await chromium?.close();
  await vestibule?.stop();
});

async function post(path: string, body: string | Uint8Array<ArrayBuffer>, type = 'application/sdp'): Promise<number> {
  const url = `${vestibule.url}${path}`;
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body });
  const text = await response.text();
  const location = response.headers.get('location');
  if (response.status === 201 && location !== null) {
    expect(text).toContain('m=');
    await fetch(new URL(location, url), { method: 'DELETE' });
  } else {
    expect(JSON.parse(text)).toMatchObject({ status: response.status, error: expect.any(String) });
  }
  return response.status;
}

/** Head and m-sections of a description. */
function parts(sdp: string): string[] {
  return sdp.split(/(?=^m=)/m);
}

function without(sdp: string, pattern: RegExp): string {
  return sdp
    .split('\r\n')
    .filter((line) => !pattern.test(line))
    .join('\r\n');
}

function view(change: (head: string, audio: string, video: string) => string): string {
  const [head = '', audio = '', video = ''] = parts(readOffer('chromium-view'));
  return change(head, audio, video);
}

const onlyBundle = (head: string, mids: string): string =>
  head.replace(/^a=group:BUNDLE .*$/m, `a=group:BUNDLE ${mids}`);

async function expectPictureGoesOn(): Promise<void> {
  await playsOn(player, 10);
  expect(await longestGapMs(player)).toBeLessThan(LONGEST_GAP_MS);
  expect(vestibule.node.pid, vestibule.log).toBe(nodePid);
}

describe('viewers', () => {
  const play = `/api/whep/play/${ROOM}`;
  const accepted: [string, string][] = [
    ['audio only', view((head, audio) => onlyBundle(head, '0') + audio)],
    ['video only', view((head, _audio, video) => onlyBundle(head, '1') + video)],
    ['video first', view((head, audio, video) => onlyBundle(head, '1 0') + video + audio)],
    ['LS group', view((head, audio, video) => `${head}a=group:LS 0 1\r\n${audio}${video}`)],
    ['OPUS in capitals', readOffer('chromium-view').replace(/ opus\//g, ' OPUS/')],
    ['no candidates', without(readOffer('chromium-view'), /^a=(candidate|end-of-candidates)/)],
    ['no msid', without(readOffer('chromium-view'), /^a=(msid|ssrc)/)],
    ['mDNS only', readOffer('chromium-view-mdns')],
    ['data channel', readOffer('chromium-view-datachannel')],
    ['line feeds only', readOffer('chromium-view').replaceAll('\r\n', '\n')],
  ];
  test.each(accepted)('%s: 201', async (_name, offer) => {
    expect(await post(play, offer)).toBe(201);
    await expectPictureGoesOn();
  });

  test('every recorded viewer is answered or told why not', async () => {
    for (const name of offerNames('view')) expect([201, 422], name).toContain(await post(play, readOffer(name)));
    await expectPictureGoesOn();
  });

  const refused: [string, string | Uint8Array<ArrayBuffer>, number[]][] = [
    ['no SDP', 'hello', [400, 422]],
    ['noise', new Uint8Array(randomBytes(2000)), [400, 422]],
    ['half an offer', readOffer('chromium-view').slice(0, 700), [400, 422]],
    ['no common codec', without(readOffer('chromium-view'), /^a=rtpmap:\d+ (VP8|opus)\//), [422, 400]],
    ['no credentials', without(readOffer('chromium-view'), /^a=ice-/), [400, 422]],
    [
      'a thousand m-lines',
      `${readOffer('chromium-view')}${'m=video 9 UDP/TLS/RTP/SAVPF 96\r\n'.repeat(1000)}`,
      [400, 413, 422],
    ],
    ['too much', 'a'.repeat(HUGE_BYTES), [413]],
  ];
  test.each(refused)('%s: refused', async (_name, body, statuses) => {
    expect(statuses).toContain(await post(play, body));
    await expectPictureGoesOn();
  });

  test('another media type is refused', async () => {
    expect(await post(play, '{}', 'application/json')).toBe(415);
    await expectPictureGoesOn();
  });
});

describe('publishers', () => {
  test('every recorded one is answered in a room of its own', async () => {
    for (const name of offerNames('publish')) {
      expect(await post(`/api/whip/publish/${freshRoom()}`, readOffer(name)), name).toBe(201);
    }
    await expectPictureGoesOn();
  });

  test('a second one for the same room is refused, whatever it offers', async () => {
    for (const name of offerNames('publish')) {
      expect(await post(`/api/whip/publish/${ROOM}`, readOffer(name)), name).toBe(409);
    }
    expect([400, 409, 422]).toContain(await post(`/api/whip/publish/${ROOM}`, 'hello'));
    await expectPictureGoesOn();
  });
});

describe('PATCH on the session that plays', () => {
  const bodies: [string, string][] = [
    ['noise', randomBytes(500).toString('latin1')],
    ['somebody else’s credentials', 'a=ice-ufrag:zzzz\r\na=ice-pwd:zzzzzzzzzzzzzzzzzzzzzzzz\r\na=candidate:x\r\n'],
    [
      'an unknown mid',
      'm=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:nobody\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n',
    ],
    ['nothing', ''],
  ];
  test.each(bodies)('%s', async (_name, body) => {
    const url = await player.evaluate(() => globalThis.vestibule.client.resourceUrl);
    const response = await fetch(url ?? '', {
      method: 'PATCH',
      // With a tag that is not the session's, nothing may be restarted.
      headers: { 'content-type': 'application/trickle-ice-sdpfrag', 'if-match': '"not-this-one"' },
      body,
    });
    await response.body?.cancel();
    expect(response.status).toBeGreaterThanOrEqual(200);
    expect(response.status).toBeLessThan(500);
    await expectPictureGoesOn();
  });
});

declare global {
  var WhepClient: typeof import('../../edge/ui/clients/index.ts').WhepClient;
}

const ASKED: ('audio' | 'video')[][] = [['audio'], ['video'], ['video', 'audio']];

test.each(ASKED.map((kinds) => ({ kinds })))('Chromium plays with the sections $kinds', async ({ kinds }) => {
  const page = await chromium.context.newPage();
  // Of the edge's origin, but not one of its pages: those run no script that is written into them.
  await page.goto(`${vestibule.url}/healthz`);
  // The library that the edge serves to everybody's pages.
  const content = "import { WhepClient } from '/web/clients.js'; globalThis.WhepClient = WhepClient;";
  await page.addScriptTag({ type: 'module', content });
  await page.waitForFunction(() => globalThis.WhepClient !== undefined);
  await page.evaluate(
    ({ url, asked }) => {
      const client = new globalThis.WhepClient({ url, kinds: asked });
      globalThis.vestibule = { client };
      client.addEventListener('stream', ({ detail }) => {
        const video = document.body.appendChild(document.createElement('video'));
        video.muted = true;
        video.srcObject = detail.stream;
        void video.play();
      });
      client.start();
    },
    { url: `${vestibule.url}/api/whep/play/${ROOM}`, asked: kinds },
  );

  const wanted = new Set<string>(kinds);
  const stats = await until('media of the kinds that were asked for', async () => {
    const now = await received(page);
    if (now === null) return null;
    return now.framesDecoded >= (wanted.has('video') ? 10 : 0) && now.audioPackets >= (wanted.has('audio') ? 10 : 0)
      ? now
      : null;
  });
  expect(stats.framesDecoded > 0).toBe(wanted.has('video'));
  expect(stats.audioPackets > 0).toBe(wanted.has('audio'));
  await page.close();
  await expectPictureGoesOn();
});
