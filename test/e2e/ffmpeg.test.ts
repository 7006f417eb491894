/** A real FFmpeg 8 publishes H264 and Opus; it ignores PLI. Chromium watches. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type Chromium, launchChromium } from '../support/chromium.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { playsOn, received } from './support/media-stats.ts';
import { firstFrameMs, pageState, watch } from './support/project-pages.ts';
import { freshRoom, until } from './support/until.ts';

/** The socket of a browser that a busy machine keeps waiting holds some fifty packets. */
const LOSS_BOUND = 0.2;
const CLOSED_ROOM = 'ffmpeg-closed';
const TOKEN = 'token-for-ffmpeg';
/** Longer than FFmpeg's usual 2 s: who waits for one is told from who does not also on a slow machine. */
const KEYFRAME_INTERVAL_MS = 5_000;
const JOINS = 6;
/** The goal is a median of 150 ms on an idle machine; a quarter of the interval would be luck six times over. */
const FIRST_FRAME_MS = KEYFRAME_INTERVAL_MS / 4;
/** A picture that is late by all that was cached is seconds late. */
const LASTING_DELAY_MS = 1_000;

let vestibule: Vestibule;
let chromium: Chromium;
const endpoint = (room: string): string => `${vestibule.url}/api/whip/publish/${room}`;

beforeAll(async () => {
  [vestibule, chromium] = await Promise.all([
    startVestibule({ env: { ROOM_TOKENS: `${CLOSED_ROOM}:${TOKEN}` } }),
    launchChromium(),
  ]);
});

afterEach(async () => {
  await Promise.all(chromium.context.pages().map((page) => page.close()));
});

afterAll(async () => {
  await chromium?.close();
  await vestibule?.stop();
});

test.each(['passive', 'active'] as const)('with DTLS %s it is watched, and its end is told', async (dtls) => {
  const room = freshRoom();
  await using ffmpeg = await publishWithFfmpeg({ url: endpoint(room), dtls });
  const player = await watch(chromium.context, vestibule.url, room);

  const stats = await playsOn(player, 60);
  expect(stats).toMatchObject({ videoCodec: 'video/H264', audioCodec: 'audio/opus', width: 640 });
  expect(stats.lost / stats.videoPackets).toBeLessThan(LOSS_BOUND);
  expect(ffmpeg.failure).toBeNull();

  await ffmpeg.stop();
  await pageState(player, 'waiting');
});

test('viewers who join between two keyframes see a picture at once and end up live', async () => {
  const room = freshRoom();
  await using _ffmpeg = await publishWithFfmpeg({
    url: endpoint(room),
    gopFrames: (KEYFRAME_INTERVAL_MS / 1_000) * 30,
  });
  const times: number[] = [];
  for (let join = 0; join < JOINS; join += 1) {
    const player = await watch(chromium.context, vestibule.url, room);
    times.push(await firstFrameMs(player));
    if (join === JOINS - 1) {
      const early = await received(player);
      const later = await playsOn(player, 60);
      // The cached start is played faster than it was made: no lasting delay.
      expect(later.framesDecoded - (early?.framesDecoded ?? 0)).toBeGreaterThanOrEqual(60);
      expect(later.jitterBufferMs).toBeLessThan(LASTING_DELAY_MS);
    }
    await player.close();
  }
  times.sort((a, b) => a - b);

  expect(times[Math.floor(JOINS / 2)], times.join(' ')).toBeLessThan(FIRST_FRAME_MS);
  expect(Math.max(...times), times.join(' ')).toBeLessThan(KEYFRAME_INTERVAL_MS);
});

test('a closed room takes it with its bearer token only', async () => {
  await expect(publishWithFfmpeg({ url: endpoint(CLOSED_ROOM) })).rejects.toThrow('401');
  await expect(publishWithFfmpeg({ url: endpoint(CLOSED_ROOM), token: 'wrong' })).rejects.toThrow('401');

  await using _ffmpeg = await publishWithFfmpeg({ url: endpoint(CLOSED_ROOM), token: TOKEN });
  const player = await chromium.context.newPage();
  await player.goto(`${vestibule.url}/web/player.html?room=${CLOSED_ROOM}`);
  await player.getByTestId('token').fill(TOKEN);
  await player.getByTestId('token').press('Enter');

  await playsOn(player);
});

test('killed and started again within its grace, it gets its viewers back', async () => {
  const room = freshRoom();
  const killed = await publishWithFfmpeg({ url: endpoint(room) });
  const player = await watch(chromium.context, vestibule.url, room);
  const posts: string[] = [];
  await playsOn(player);
  player.on('request', (request) => {
    if (request.method() === 'POST') posts.push(request.url());
  });

  await killed.kill();
  const successor = await until(
    'the room takes the successor',
    () => publishWithFfmpeg({ url: endpoint(room) }).catch(() => null),
    20_000,
  );
  await using _successor = successor;
  await playsOn(player, 30);

  expect(posts).toEqual([]);
});
