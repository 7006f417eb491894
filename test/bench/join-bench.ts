/** WHEP POST → first presented frame in Chromium. */
import type { Page } from 'playwright-core';
import { seededRandom } from '../support/client/impairment.ts';
import { publishWithFfmpeg } from '../support/ffmpeg-whip.ts';
import { startVestibule } from '../support/start-vestibule.ts';
import type { Bench, Table } from './bench.ts';
import { launchBenchChromium } from './chromium-pages.ts';
import { PublisherProcess, STUBBORN } from './load-process.ts';
import { quantile, spread } from './statistics.ts';

const JOINS = 20;
const WARM_UP_JOINS = 3;
/** Between joins, at random, so that they meet every moment between two keyframes. */
const LEAST_PAUSE_MS = 300;
const PAUSE_SPAN_MS = 2_000;
const SEED = 1;
/** The stream has to be older than one group of pictures before it counts. */
const AGE_MS = 3_000;

async function measure(page: Page, url: string): Promise<{ answerMs: number[]; frameMs: number[] }> {
  const random = seededRandom(SEED);
  const answerMs: number[] = [];
  const frameMs: number[] = [];
  await new Promise((resolve) => setTimeout(resolve, AGE_MS));
  for (let join = -WARM_UP_JOINS; join < JOINS; join++) {
    const times = await page.evaluate((target) => globalThis.bench.play(target), url);
    await page.evaluate(() => globalThis.bench.stopPlaying());
    if (join >= 0) {
      answerMs.push(times.answerMs);
      frameMs.push(times.frameMs);
    }
    await new Promise((resolve) => setTimeout(resolve, LEAST_PAUSE_MS + random() * PAUSE_SPAN_MS));
  }
  return { answerMs, frameMs };
}

export const joinBench: Bench = {
  name: 'join',
  about: 'WHEP POST to the first picture presented in Chromium (4 min)',
  async run(progress): Promise<Table> {
    await using vestibule = await startVestibule();
    await using chromium = await launchBenchChromium();
    const whip = (room: string): string => `${vestibule.url}/api/whip/publish/${room}`;
    const rows: string[][] = [];
    const page = await chromium.open(vestibule.url);
    const tell = async (name: string, room: string): Promise<void> => {
      const { answerMs, frameMs } = await measure(page, `${vestibule.url}/api/whep/play/${room}`);
      progress(`${name}: ${spread(frameMs, 0)} ms`);
      rows.push([name, spread(frameMs, 0), quantile(frameMs, 0.95).toFixed(0), spread(answerMs, 1)]);
    };

    const publisher = await chromium.open(vestibule.url);
    await publisher.evaluate((url) => globalThis.bench.publish(url, 'H264'), whip('chromium'));
    await tell('Chromium, answers PLI', 'chromium');
    await publisher.close();
    {
      await using _ffmpeg = await publishWithFfmpeg({ url: whip('ffmpeg'), gopFrames: 60 });
      await tell('FFmpeg, ignores PLI, a keyframe every 2 s', 'ffmpeg');
    }
    {
      await using _synthetic = await PublisherProcess.start(whip('synthetic'), STUBBORN);
      await tell('synthetic, 2.6 Mb/s, ignores PLI, a keyframe every 2 s', 'synthetic');
    }
    return {
      title: 'WHEP POST → first presented frame in Chromium',
      headers: ['publisher (H264)', 'median ms (least–greatest)', 'p95 ms', 'POST → 201 ms, as the page sees it'],
      rows,
      notes: [
        `${JOINS} joins each, at random moments, after ${WARM_UP_JOINS} to warm up. Headless Chromium with software codecs, on the same machine as everything else.`,
        'Measured in the page: from just before the POST to requestVideoFrameCallback of the first frame.',
      ],
    };
  },
};
