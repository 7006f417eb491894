/** Glass to glass: a clock is drawn into the picture at one end and read from it at the other. */
import type { Page } from 'playwright-core';
import { startVestibule } from '../support/start-vestibule.ts';
import { type Bench, RUNS, type Table } from './bench.ts';
import { launchBenchChromium } from './chromium-pages.ts';
import { quantile, spread } from './statistics.ts';

const CODEC = 'H264';
const SETTLE_MS = 5_000;
const RUN_MS = 6_000;
const P95 = 0.95;

interface Measured {
  p50: number[];
  p95: number[];
  frames: number;
  unreadable: number;
  codec: string;
}

async function measure(page: Page): Promise<Measured> {
  const measured: Measured = { p50: [], p95: [], frames: 0, unreadable: 0, codec: '' };
  // The bandwidth estimate and the jitter buffer need a while.
  await page.evaluate((ms) => globalThis.bench.clockAges(ms), SETTLE_MS);
  for (let run = 0; run < RUNS; run++) {
    const { agesMs, unreadable, codec } = await page.evaluate((ms) => globalThis.bench.clockAges(ms), RUN_MS);
    measured.p50.push(quantile(agesMs, 0.5));
    measured.p95.push(quantile(agesMs, P95));
    measured.frames += agesMs.length;
    measured.unreadable += unreadable;
    measured.codec = codec;
  }
  return measured;
}

export const glassBench: Bench = {
  name: 'glass',
  about: 'a clock drawn into the picture at one end and read at the other (2 min)',
  async run(progress): Promise<Table> {
    await using vestibule = await startVestibule();
    await using chromium = await launchBenchChromium();
    const rows: string[][] = [];
    const tell = (name: string, { p50, p95, frames, unreadable, codec }: Measured): void => {
      progress(`${name}: p50 ${spread(p50, 0)} ms, p95 ${spread(p95, 0)} ms`);
      rows.push([name, spread(p50, 0), spread(p95, 0), String(frames), String(unreadable), codec]);
    };
    for (const isDirect of [false, true]) {
      const publisher = await chromium.open(vestibule.url);
      const viewer = await chromium.open(vestibule.url);
      if (isDirect) {
        const offer = await publisher.evaluate((codec) => globalThis.bench.offerDirectly(codec), CODEC);
        const answer = await viewer.evaluate((sdp) => globalThis.bench.answerDirectly(sdp), offer);
        await publisher.evaluate((sdp) => globalThis.bench.acceptDirectly(sdp), answer);
      } else {
        const publishTo = { url: `${vestibule.url}/api/whip/publish/glass`, codec: CODEC };
        await publisher.evaluate(({ url, codec }) => globalThis.bench.publish(url, codec), publishTo);
        await viewer.evaluate((url) => globalThis.bench.play(url), `${vestibule.url}/api/whep/play/glass`);
      }
      tell(isDirect ? 'peer to peer, without a server' : 'through Vestibule', await measure(viewer));
      await Promise.all([publisher.close(), viewer.close()]);
    }
    return {
      title: 'Glass to glass, Chromium → Chromium',
      headers: ['path', 'p50 ms', 'p95 ms', 'frames', 'unreadable', 'codec'],
      rows,
      notes: [
        `640×360 at 30 frames/s; ${RUNS} runs of ${RUN_MS / 1_000} s, median (least–greatest) of the runs.`,
        'From drawing the clock on a canvas to requestVideoFrameCallback at the viewer: capture, encoder, network, jitter buffer, decoder and compositor, all on this machine.',
      ],
    };
  },
};
