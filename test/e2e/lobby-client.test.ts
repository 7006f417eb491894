/** `LobbyClient` against a lobby inside of its page, which offers and closes at the worst of times. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { browserScript } from '../support/browser-script.ts';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import type { FakeLobby, WatchedClient } from './in-page/fake-lobby.ts';

declare global {
  var fake: FakeLobby;
  var client: WatchedClient;
}

let chromium: Chromium;
let server: Server;
let page: Page;

beforeAll(async () => {
  const script = await browserScript('test/e2e/in-page/fake-lobby.ts');
  const html = `<!doctype html><meta charset="utf-8"><script>${script}</script>`;
  server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(html);
  });
  server.listen(0, '127.0.0.1');
  [chromium] = await Promise.all([launchChromium(), once(server, 'listening')]);
});

afterAll(async () => {
  await chromium?.close();
  server.closeAllConnections();
  server.close();
});

beforeEach(async () => {
  page = await chromium.context.newPage();
  await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  await page.evaluate(() => {
    const { FakeLobby, WatchedClient } = globalThis.fakes;
    globalThis.fake = new FakeLobby();
    globalThis.fake.install();
    globalThis.client = new WatchedClient();
  });
});

afterEach(() => page.close());

/** Joins with picture and sound as `Ada Lovelace`. */
function enter(): Promise<void> {
  return page.evaluate(() => {
    const info = { purpose: 'main', label: 'Ada Lovelace' } as const;
    return client.lobby.join([{ stream: fakes.picture(), info }]);
  });
}

function events(): Promise<string[]> {
  return page.evaluate(() => client.events);
}

describe('joining', () => {
  test('says in i= lines what is sent, then takes the offer of the server, one guarded request after another', async () => {
    await enter();

    const { log, offer, state } = await page.evaluate(() => ({
      log: fake.log,
      offer: fake.whipOffer,
      state: client.lobby.state,
    }));
    expect(state).toBe('joined');
    expect(offer.match(/^m=\w+|^i=.*\w/gm)).toEqual([
      'm=audio',
      'i=2 2 Ada_Lovelace',
      'm=video',
      'i=2 2 Ada_Lovelace',
      'm=application',
    ]);
    expect(log.filter((line) => /^(POST|PATCH) w/.test(line))).toEqual([
      'POST whip 201',
      'POST whep 201',
      'PATCH whep 201',
    ]);
    expect(await events()).toEqual(['state joining', 'state joined']);
  });

  test('works without anything to send', async () => {
    await page.evaluate(() => client.lobby.join());

    expect(await page.evaluate(() => fake.whipOffer.match(/^m=\w+/gm))).toEqual(['m=application']);
  });

  test('that is refused rejects with the reason', async () => {
    const thrown = await page.evaluate(async () => {
      fake.refuse = 403;
      return client.lobby.join().then(
        () => null,
        (error) => ({ name: error.name, status: error.status, code: error.code }),
      );
    });

    expect(thrown).toEqual({ name: 'ClientError', status: 403, code: 'refused' });
    expect(await events()).toEqual(['state joining', 'state failed', 'error refused fatal']);
  });
});

describe('offers of the server', () => {
  test('bring the tracks of the others, which play', async () => {
    await enter();
    const seen = await page.evaluate(async () => {
      fake.addMember('ben', '1 1 Ben');
      fake.addMember('cleo', '2 2 Cleo');
      await fake.offer();
      await client.waitFor('track', 4);
      const [picture, sound, other] = ['ben-video', 'ben-audio', 'cleo-video'].map((id) => client.tracks.get(id));
      while ((await client.framesDecoded('cleo-video')) < 3) await new Promise((resolve) => setTimeout(resolve, 50));
      return { sameStream: picture?.stream === sound?.stream, otherStream: picture?.stream === other?.stream };
    });

    expect(seen).toEqual({ sameStream: true, otherStream: false });
    expect((await events()).filter((event) => event.startsWith('track')).toSorted()).toEqual([
      'track ben-audio guest Ben muted',
      'track ben-video guest Ben muted',
      'track cleo-audio main Cleo',
      'track cleo-video main Cleo',
    ]);
  });

  test('take tracks away, and use their sections again for somebody else', async () => {
    await enter();
    const mids = await page.evaluate(async () => {
      fake.addMember('ben', '1 2 Ben');
      await fake.offer();
      const before = fake.midOf('ben-video');
      fake.removeMember('ben');
      await fake.offer();
      await client.waitFor('ended', 2);
      fake.addMember('cleo', '1 2 Cleo');
      await fake.offer();
      await client.waitFor('track cleo', 2);
      while ((await client.framesDecoded('cleo-video')) < 3) await new Promise((resolve) => setTimeout(resolve, 50));
      return [before, fake.midOf('cleo-video')];
    });

    expect(mids[0]).toBe(mids[1]);
    expect((await page.evaluate(() => client.lobby.tracks.map(({ id }) => id))).toSorted()).toEqual([
      'cleo-audio',
      'cleo-video',
    ]);
  });

  test('that are repeated get the same answer again; old ones and rubbish get none', async () => {
    await enter();
    const { answers, asked } = await page.evaluate(async () => {
      fake.addMember('ben', '1 2 Ben');
      await fake.offer();
      const old = fake.lastOffer;
      await fake.offer();
      fake.send(old);
      fake.send({ id: 1, type: 9, data: {} });
      fake.send('hello');
      fake.send({ id: 1, type: 1, data: { number: 3 } });
      fake.repeatOffer();
      while (fake.frames.filter(({ data }) => data.number === 2).length < 2) {
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return { answers: fake.frames.filter(({ type }) => type === 2), asked: fake.lastOffer.id };
    });

    expect(answers.map(({ data }) => data.number)).toEqual([1, 2, 2]);
    expect(answers[2]?.id).toBe(asked + 1);
    expect(answers[2]?.data).toEqual(answers[1]?.data);
  });

  test('that the browser cannot take lead to a new receiving session, not to silence', async () => {
    await enter();
    await page.evaluate(async () => {
      await fake.offer({ broken: true });
      await client.waitFor('state joined', 2);
      fake.addMember('ben', '1 2 Ben');
      await fake.offer();
      await client.waitFor('track ben', 2);
    });

    const log = await page.evaluate(() => fake.log);
    expect(log.filter((line) => line.startsWith('POST'))).toEqual(['POST whip 201', 'POST whep 201', 'POST whep 201']);
    await expect.poll(() => page.evaluate(() => fake.log)).toContain('DELETE listener2 200');
  });
});

describe('muting', () => {
  test('of others is told when it happens, and not again', async () => {
    await enter();
    await page.evaluate(async () => {
      fake.addMember('ben', '1 2 Ben');
      await fake.offer();
      const mid = fake.midOf('ben-audio');
      for (const mute of [true, true, false]) fake.send({ id: 0, type: 3, data: { mid, mute } });
      fake.send({ id: 0, type: 3, data: { mid: '99', mute: true } });
      await client.waitFor('mute', 2);
      await fake.offer();
    });

    expect((await events()).filter((event) => event.startsWith('mute'))).toEqual([
      'mute ben-audio true',
      'mute ben-audio false',
    ]);
  });

  test('of ourselves goes out with our own mid, sends nothing more, and is remembered for the next session', async () => {
    await enter();
    const { frames, enabled, offer } = await page.evaluate(async () => {
      client.lobby.setMuted('audio', true);
      const [stream] = client.lobby.streams;
      while (fake.frames.length === 0) await new Promise((resolve) => setTimeout(resolve, 10));
      const states = stream?.stream.getTracks().map((track) => [track.kind, track.enabled]);
      fake.closeSignal();
      await client.waitFor('state joined', 2);
      return { frames: fake.frames, enabled: states, offer: fake.whipOffer };
    });

    expect(frames).toEqual([{ id: 0, type: 3, data: { mid: '0', mute: true } }]);
    expect(enabled).toEqual([
      ['audio', false],
      ['video', true],
    ]);
    expect(offer.match(/^i=.*\w/gm)).toEqual(['i=2 1 Ada_Lovelace', 'i=2 2 Ada_Lovelace']);
  });
});

describe('the end', () => {
  test('of the signal channel is repaired by entering again', async () => {
    await enter();
    await page.evaluate(async () => {
      fake.addMember('ben', '1 2 Ben');
      await fake.offer();
      fake.closeSignal();
      await client.waitFor('state joined', 2);
    });

    expect(await events()).toEqual(
      expect.arrayContaining(['state reconnecting', 'ended ben-audio', 'ended ben-video', 'state joined']),
    );
    const log = await page.evaluate(() => fake.log.filter((line) => /member|whip/.test(line)));
    expect(log.filter((line) => !line.startsWith('PATCH'))).toEqual([
      'POST whip 201',
      'GET member1 200',
      'DELETE member1 200',
      'POST whip 201',
    ]);
  });

  test('of all sessions, which the receiving half is told of first, is repaired by entering again', async () => {
    await enter();
    await page.evaluate(async () => {
      fake.forget();
      // The receiving half begins anew, and is refused: its member is unknown.
      await fake.offer({ broken: true });
      await Promise.race([client.waitFor('state joined', 2), client.waitFor('state failed')]);
    });

    expect(await events()).toEqual([
      'state joining',
      'state joined',
      'error internal',
      'state reconnecting',
      'state joined',
    ]);
    const log = await page.evaluate(() => fake.log.filter((line) => line.startsWith('POST')));
    expect(log).toEqual(['POST whip 201', 'POST whep 201', 'POST whep 403', 'POST whip 201', 'POST whep 201']);
  });

  test('leaving deletes both sessions, and the client can join again', async () => {
    await enter();
    await page.evaluate(() => client.lobby.leave());
    expect(await page.evaluate(() => client.lobby.state)).toBe('left');

    await enter();

    const log = await page.evaluate(() => fake.log);
    expect(log).toContain('DELETE member1 200');
    expect(await page.evaluate(() => client.lobby.state)).toBe('joined');
  });

  test('another device is a new session with the old description', async () => {
    await enter();
    const offer = await page.evaluate(async () => {
      const next = fakes.picture();
      for (const track of next.getVideoTracks()) track.enabled = false;
      await client.lobby.changeDevice(next);
      return fake.whipOffer;
    });

    expect(offer.match(/^i=.*\w/gm)).toEqual(['i=2 2 Ada_Lovelace', 'i=2 1 Ada_Lovelace']);
    expect(await page.evaluate(() => fake.log.filter((line) => line.includes('whip')))).toHaveLength(2);
  });
});

test('going live uses the guard and gives reasons', async () => {
  await enter();
  const [started, status, stopped] = await page.evaluate(() =>
    Promise.all([
      client.lobby.startLive({ rtmpUrl: 'rtmp://example.org/app', streamKey: 'k' }),
      client.lobby.liveStatus(),
      client.lobby.stopLive().catch((error) => ({ status: error.status, message: error.message })),
    ]),
  );

  expect(started).toEqual({ resource: 'live-1' });
  expect(status).toEqual({ status: 'offline', state: 'retrying', isLive: true, error: 'refused' });
  expect(stopped).toEqual({ status: 404, message: 'not live' });
});
