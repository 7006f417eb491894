/** One system, several rooms at once: what happens to a recording while it is made, and who may have it afterwards. */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Impairment, type Impairments, mediaLoss } from '../support/client/impairment.ts';
import { publish } from '../support/client/publisher.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { type PlacedFrame, placedFrames } from './support/published-times.ts';
import { median, readRecorded, soundDelaysMs } from './support/recorded.ts';
import { ADMIN, NODE_TOKEN, type RecordedSystem, START_MS, startRecordedSystem } from './support/system.ts';

const AWAY_MS = 3_000;
/** How long media flows before and after. */
const STRETCH_MS = 3_500;
const LOSS = 0.1;
const CAUGHT_UP_S = 1;
/** Enough to be used on a slow machine; the other tests take longer. */
const SHORT_LINK_S = 8;
/** From one session to the next. */
const MAX_DRIFT_MS = 100;
/** Pictures of 30 frames a second are farther from each other. */
const PRESSED_S = 0.015;
/** In each session; the second one has next to none, because nothing is repaired. */
const MIN_FLUENT_FRAMES = [100, 0];
/** No keyframe comes within the time of a test. */
const SELDOM_GOP_FRAMES = 270;

let system: RecordedSystem;
beforeAll(async () => {
  system = await startRecordedSystem({ env: { RECORD_ENABLED: '0' } });
}, START_MS);
afterAll(async () => {
  await system?.close();
});

/** Loses media both ways, and everything while it is cut. */
class BadNetwork {
  isCut = false;

  impairments(seed: number): Impairments {
    return { outgoing: this.#lossy(seed), incoming: this.#lossy(seed + 1) };
  }

  #lossy(seed: number): Impairment {
    const lossy = mediaLoss(LOSS, seed);
    return (datagram) => (this.isCut ? 'drop' : lossy(datagram));
  }
}

/** Without those since the last keyframe, which are pressed into the moment when the recording begins. */
function withoutLead(pictures: readonly PlacedFrame[]): readonly PlacedFrame[] {
  const last = pictures.findIndex(({ atS }, index) => (pictures[index + 1]?.atS ?? Number.NaN) - atS > PRESSED_S);
  return pictures.slice(last + 1);
}

/** Distances from one packet to the next that are longer than that, in order. */
function gapsS(timesS: readonly number[], longerS: number): number[] {
  return timesS.slice(1).flatMap((time, index) => {
    const gap = time - (timesS[index] ?? 0);
    return gap > longerS ? [gap] : [];
  });
}

describe.concurrent('recorded', () => {
  test('10 % loss, a network that is gone for 3 s, and a publisher who is: one file, honest times', {
    timeout: 90_000,
  }, async () => {
    const room = 'bad-network';
    await system.record(room, true);
    const network = new BadNetwork();
    const first = await publish({ url: system.publishUrl(room), impair: network.impairments(1) });
    await delay(STRETCH_MS);
    network.isCut = true;
    const cutAt = first.video.frames;
    await delay(AWAY_MS);
    network.isCut = false;
    const backAt = first.video.frames;
    await delay(STRETCH_MS);
    await first.leave();
    await delay(AWAY_MS);
    // Repairs nothing: what is lost is lost for good.
    const lossy = { answersNack: false, impair: network.impairments(2) };
    const second = await publish({ url: system.publishUrl(room), ...lossy });
    await delay(STRETCH_MS);
    await second.close();

    const [record] = await system.settled(room);
    if (record === undefined) throw new Error('no record');
    expect(record.state).toBe('ready');
    const { tracks, durationS } = await readRecorded(await system.download(record));
    for (const { packets, decoded } of tracks) expect(decoded).toBe(packets);
    const [audio, video] = ['audio', 'video'].map((kind) => tracks.find((track) => track.kind === kind));
    if (audio === undefined || video === undefined) throw new Error('two tracks are expected');

    // Every frame lies where it was published: through the loss, over the outage, and from one session to the next.
    const sounds = placedFrames(audio, [first.audio, second.audio]);
    const pictures = placedFrames(video, [first.video, second.video]);
    const offsetsMs = sounds.map((placed) => median(placed.map(({ offsetMs }) => offsetMs)));
    for (const [at, offsetMs] of offsetsMs.entries()) {
      const errors = (placed: readonly PlacedFrame[]): number[] =>
        placed.map((frame) => Math.abs(frame.offsetMs - offsetMs));
      expect(Math.max(...errors(sounds[at] ?? []))).toBeLessThan(2);
      const fluent = withoutLead(pictures[at] ?? []);
      expect(fluent.length).toBeGreaterThan(MIN_FLUENT_FRAMES[at] ?? Number.NaN);
      expect(Math.max(...errors(fluent))).toBeLessThan(40);
    }
    const driftMs = (offsetsMs[1] ?? Number.NaN) - (offsetsMs[0] ?? Number.NaN);
    expect(Math.abs(driftMs)).toBeLessThan(MAX_DRIFT_MS);
    const lastS = Math.max(...sounds.map((placed) => placed.at(-1)?.atS ?? 0));
    expect(durationS - lastS).toBeLessThan(0.5);

    // A tenth of the sound is missing, and the two outages; of the pictures next to none where packets were sent again.
    const [outage, absence, ...others] = gapsS(audio.timesS, AWAY_MS / 2_000);
    expect(others).toEqual([]);
    // What a publisher that stood still has to catch up with is sent when the network is there again.
    expect(outage).toBeGreaterThan(AWAY_MS / 1_000 - CAUGHT_UP_S);
    expect(absence).toBeGreaterThan(AWAY_MS / 1_000 - CAUGHT_UP_S);
    const heardS = durationS - (outage ?? 0) - (absence ?? 0);
    expect(audio.packets / (50 * heardS)).toBeGreaterThan(0.8);
    expect(audio.packets / (50 * heardS)).toBeLessThan(0.97);
    const shown = (pictures[0]?.length ?? 0) / (first.video.frames - (backAt - cutAt));
    expect(shown).toBeGreaterThan(0.8);
    console.log(
      `bad network: drift over an absence ${driftMs.toFixed(1)} ms, ` +
        `${(shown * 100).toFixed(0)} % of the pictures that a session sent while it was not cut off, gaps ${outage?.toFixed(2)} and ${absence?.toFixed(2)} s`,
    );
  });

  test('switched on in mid-stream of an FFmpeg that sends keyframes seldom: nothing is missed; progress shows', {
    timeout: 60_000,
  }, async () => {
    const room = 'mid-stream';
    const publisher = await publishWithFfmpeg({
      url: system.publishUrl(room),
      gopFrames: SELDOM_GOP_FRAMES,
      marks: true,
    });
    try {
      await delay(1_500);
      const askedMs = performance.now();
      await system.record(room, true);
      let begunMs = 0;
      const sizes = new Set<number>();
      await system.when(
        ([record]) => {
          if (record?.state !== 'recording') return false;
          if (begunMs === 0) begunMs = performance.now();
          return sizes.add(record.size).size >= 2 && record.durationMs > 2_000;
        },
        'a recording that grows',
        room,
      );
      const rooms = (await (await fetch(`${system.url}/api/rooms`)).json()) as { name: string; recording: unknown }[];
      expect(rooms.find(({ name }) => name === room)?.recording).toEqual({ state: 'recording', error: null });
      const leastS = (performance.now() - begunMs) / 1000;
      await system.record(room, false);
      const mostS = (performance.now() - askedMs) / 1000;
      const [record] = await system.settled(room);
      if (record === undefined) throw new Error('no record');
      const facts = await readRecorded(await system.download(record));
      const video = facts.tracks.find(({ kind }) => kind === 'video');
      expect(facts.durationS).toBeGreaterThan(leastS - 1);
      expect(facts.durationS).toBeLessThan(mostS + 1);
      expect(video?.decoded).toBe(video?.packets);
      expect(video?.firstS).toBeLessThan(0.1);
      // The pictures since the keyframe are at the start, and from there on all are in their place.
      expect(video?.largestGapS).toBeLessThan(0.2);
      expect(video?.packets).toBeGreaterThan(30 * facts.durationS + 20);
      expect(Math.abs(median(soundDelaysMs(facts)))).toBeLessThan(40);
    } finally {
      await publisher.kill();
    }
  });

  test('is for operators and for those with a link, and for nobody else', { timeout: 60_000 }, async () => {
    const room = 'private';
    await system.record(room, true);
    const publisher = await publish({ url: system.publishUrl(room) });
    await delay(2_000);
    await publisher.close();
    const [record] = await system.settled(room);
    if (record === undefined) throw new Error('no record');
    const statusOf = async (path: string, init: RequestInit = {}): Promise<number> => {
      const answer = await fetch(`${system.url}${path}`, init);
      await answer.body?.cancel();
      return answer.status;
    };
    const path = `/records/${record.name}`;
    const link = record.url ?? '';
    const asNode = { Authorization: `Bearer ${NODE_TOKEN}`, 'Vestibule-Node': 'another-node' };
    const progress = JSON.stringify({ state: 'failed', bytes: 0, durationMs: 0 });

    expect(await statusOf(path)).toBe(401);
    expect(await statusOf(path, { headers: { Authorization: 'Bearer wrong' } })).toBe(401);
    expect(await statusOf(path, { headers: { Authorization: `Bearer ${NODE_TOKEN}` } })).toBe(401);
    expect(await statusOf(path, { headers: ADMIN })).toBe(200);
    expect(await statusOf(link)).toBe(200);
    expect(await statusOf(link.replace(record.name, record.name.replace('private', 'another')))).toBe(403);
    expect(await statusOf(`${link}0`)).toBe(403);
    expect(await statusOf(link, { method: 'DELETE' })).toBe(401);
    const short = await fetch(`${system.url}/api/records/${record.name}/link`, {
      method: 'POST',
      headers: { ...ADMIN, 'Content-Type': 'application/json' },
      body: JSON.stringify({ expiresInSeconds: SHORT_LINK_S }),
    });
    const { url } = (await short.json()) as { url: string };
    const { pathname, search } = new URL(url);
    expect(await statusOf(pathname + search)).toBe(200);
    await expect.poll(() => statusOf(pathname + search), { interval: 300 }).toBe(403);
    // fetch would resolve plain dots itself.
    for (const name of ['..%2f..%2fsecrets.json', '%2e%2e%2fsecrets.json', '..%5c..%5csecrets', '%00', 'a%2fb.mp4']) {
      expect(await statusOf(`/records/${name}`, { headers: ADMIN }), name).toBe(404);
    }
    const headers = { ...asNode, 'Content-Type': 'application/json' };
    expect(await statusOf(`/node/records/${record.id}`, { method: 'PATCH', headers, body: progress })).toBe(404);
    expect(await statusOf(`/node/records/${record.id}/upload`, { method: 'POST', headers: ADMIN })).toBe(401);
    expect((await system.list(room))[0]?.state).toBe('ready');
  });
});
