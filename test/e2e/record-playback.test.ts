/**
 * Real publishers through edge, node and store: what lands there is whole, in sync, as long as it was, and plays.
 * `RECORD_SECONDS=60` for the long run.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { BrowserContext } from 'playwright-core';
import { expect, onTestFinished, test } from 'vitest';
import { median, type RecordedFacts, readRecorded, soundDelaysMs } from '../records/support/recorded.ts';
import { type RecordedSystem, startRecordedSystem } from '../records/support/system.ts';
import { launchChromium } from '../support/chromium.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { type PublishedMedia, publishMarked } from './support/marked-page.ts';
import { type Look, playRecord, WHITE_ABOVE } from './support/played-record.ts';

const CLIP_S = Number(process.env.RECORD_SECONDS ?? 12);
const FFMPEG_PICTURES_PER_SECOND = 30;
const FFMPEG_SOUNDS_PER_SECOND = 50;
const FFMPEG_ATTEMPTS = 3;
const MAX_OFFSET_MS = 40;
/** After a mark began, and when it is over. */
const IN_MARK_S = 0.03;
const AFTER_MARK_S = 0.5;

/** Encoders in a browser on a busy machine leave pictures out before they are sent. */
const PUBLISHERS = [
  { codec: 'H264', extension: 'mp4', picturesPerSecond: 29 },
  { codec: 'VP8', extension: 'webm', picturesPerSecond: 12 },
  { codec: 'AV1', extension: 'mp4', picturesPerSecond: 12 },
] as const;

interface Clip extends PublishedMedia {
  room: string;
}

/** Publishes for the time of a clip; resolves with what was sent. */
async function clip(system: RecordedSystem, context: BrowserContext, codec: 'H264' | 'VP8' | 'AV1'): Promise<Clip> {
  if (codec === 'H264') return await ffmpegClip(system);
  const publisher = await publishMarked(context, system.publishUrl(codec), codec);
  await delay(CLIP_S * 1000);
  return { room: codec, ...(await publisher.stop()) };
}

/**
 * After a handshake on a very busy machine FFmpeg's WHIP muxer at times reads its socket as if it were a blocking one: each
 * packet waits for the next report of the server, a second long. Such a clip is none; the next one has another room.
 */
async function ffmpegClip(system: RecordedSystem): Promise<Clip> {
  for (let attempt = 1; ; attempt++) {
    const room = `H264-${attempt}`;
    const publisher = await publishWithFfmpeg({ url: system.publishUrl(room), marks: true });
    await delay(CLIP_S * 1000);
    const seconds = (await publisher.stop()) / (FFMPEG_PICTURES_PER_SECOND + FFMPEG_SOUNDS_PER_SECOND);
    if (seconds < CLIP_S / 2 && attempt < FFMPEG_ATTEMPTS) continue;
    return {
      room,
      seconds,
      pictures: Math.floor(seconds * FFMPEG_PICTURES_PER_SECOND),
      sounds: Math.floor(seconds * FFMPEG_SOUNDS_PER_SECOND),
    };
  }
}

/** Marks near the beginning, in the middle and near the end: white there, and not white half a second later. */
function looksAt({ tracks, durationS }: RecordedFacts): Look[] {
  const marks = tracks.find(({ kind }) => kind === 'video')?.marksS ?? [];
  const whole = marks.filter((markS) => markS + AFTER_MARK_S < durationS);
  return [0.8, 0.2, 0.5].flatMap((share) => {
    const markS = whole[Math.floor(share * whole.length)] ?? Number.NaN;
    return [
      { atS: markS + IN_MARK_S, isWhite: true },
      { atS: markS + AFTER_MARK_S, isWhite: false },
    ];
  });
}

test('FFmpeg with H264, Chromium with VP8 and with AV1, all at once', {
  timeout: CLIP_S * (FFMPEG_ATTEMPTS + 1) * 1_000 + 130_000,
}, async () => {
  const chromium = await launchChromium();
  onTestFinished(() => chromium.close());
  const system = await startRecordedSystem();
  onTestFinished(() => system.close());
  const published = await Promise.all(PUBLISHERS.map(({ codec }) => clip(system, chromium.context, codec)));

  for (const [at, { codec, extension, picturesPerSecond }] of PUBLISHERS.entries()) {
    const sent = published[at] as Clip;
    const [record] = await system.settled(sent.room);
    expect(record).toMatchObject({ state: 'ready', error: null, codecs: expect.arrayContaining([codec, 'opus']) });
    if (record === undefined) throw new Error('no record');
    expect(record.name).toMatch(new RegExp(`^${sent.room}_[a-z2-7]{26}_\\d{10}\\.${extension}$`));
    const facts = await readRecorded(await system.download(record));
    const [audio, video] = ['audio', 'video'].map((kind) => facts.tracks.find((track) => track.kind === kind));
    if (audio === undefined || video === undefined) throw new Error('two tracks are expected');
    const delays = soundDelaysMs(facts);
    const third = Math.floor(delays.length / 3);
    const offsetsMs = [delays.slice(0, third), delays.slice(third, -third), delays.slice(-third)].map(median);
    console.log(
      [
        `${codec}: published ${sent.seconds.toFixed(2)} s, recorded ${facts.durationS.toFixed(2)} s`,
        `pictures: ${sent.pictures} sent, ${video.packets} recorded, ${video.decoded} decode`,
        `packets of sound: ${sent.sounds} sent, ${audio.packets} recorded, ${audio.decoded} decode`,
        `sound after picture: median ${median(delays).toFixed(1)} ms of ${delays.length} ` +
          `(${Math.min(...delays).toFixed(1)} to ${Math.max(...delays).toFixed(1)}), ` +
          `by thirds ${offsetsMs.map((ms) => ms.toFixed(1)).join(', ')}`,
      ].join('\n  '),
    );
    expect(Math.abs(facts.durationS - sent.seconds)).toBeLessThan(0.2);
    expect(Math.abs(record.durationMs / 1000 - facts.durationS)).toBeLessThan(0.1);
    // Every picture and every packet of sound is there, and every one decodes.
    for (const { packets, decoded } of facts.tracks) expect(decoded).toBe(packets);
    expect(video.packets).toBeGreaterThan(sent.pictures * 0.98 - 2);
    expect(audio.packets).toBeGreaterThan(sent.sounds * 0.98 - 2);
    expect(video.packets).toBeGreaterThan(picturesPerSecond * CLIP_S * 0.9);
    // In sync from the beginning to the end.
    expect(delays.length).toBeGreaterThan(CLIP_S * 0.6);
    for (const offsetMs of offsetsMs) expect(Math.abs(offsetMs)).toBeLessThan(MAX_OFFSET_MS);
    // A player that seeks shows what is there, and plays to the end.
    const looks = looksAt(facts);
    const played = await playRecord(chromium.context, new URL(record.url ?? '', system.url).href, looks);
    console.log(`${codec} played`, played);
    expect(Math.abs(played.durationS - facts.durationS)).toBeLessThan(0.1);
    for (const [index, { atS, isWhite }] of looks.entries()) {
      expect(played.standsS[index]).toBeCloseTo(atS, 1);
      expect((played.brightness[index] ?? 0) > WHITE_ABOVE, `${codec} at ${atS} s`).toBe(isWhite);
    }
    expect(Math.abs(played.endS - played.durationS)).toBeLessThan(0.2);
    expect(played.soundBytes).toBeGreaterThan(0);
  }
});
