/** What the bare kernel of this machine takes for the datagrams of a fan-out: the floor under every engine. */

import { z } from 'zod';
import { LineProcess } from '../support/line-process.ts';
import { loadNative } from '../support/native/build.ts';
import { openNativeReceiver } from '../support/native/native-receiver.ts';
import type { Bench, Table } from './bench.ts';
import { median, spread } from './statistics.ts';

const LOOPBACK = '127.0.0.1';
const VIEWERS = [1, 100, 500];
/** As a frame of the common source: 30 a second, of ten packets and more. */
const BURST = 10;
const PACKET_BYTES = 1_200;
const BURSTS_PER_SECOND = 30;
const WINDOW_S = 2;
const US_PER_S = 1e6;
const DGRAM_DEADLINE_MS = 60_000;
const WAYS = ['sendto', 'sendmmsg', 'sendmmsg + UDP_SEGMENT'] as const;
const SENDMMSG = WAYS.indexOf('sendmmsg');
const SEGMENTS = WAYS.indexOf('sendmmsg + UDP_SEGMENT');
/** Sound: 50 of these a second, each a message of its own between the frames. */
const SOUND = { burst: 1, bytes: 160, perSecond: 50 };
const FRAMES = { burst: BURST, bytes: PACKET_BYTES, perSecond: BURSTS_PER_SECOND };

interface FloorAddon {
  run(
    way: number,
    gcm: number,
    ports: Uint16Array,
    burst: number,
    bytes: number,
    burstsPerSecond: number,
    seconds: number,
    out: Float64Array,
  ): void;
}

interface Cost {
  /** Per datagram. */
  readonly totalUs: number;
  readonly userUs: number;
}

const doneSchema = z.object({ sent: z.number(), refused: z.number(), cpuS: z.number(), userS: z.number() });

/** In a process of its own: all of its CPU is counted. */
async function measureDgram(gcm: number, ports: Uint16Array, seconds: number): Promise<Cost & { refused: number }> {
  const { burst, bytes, perSecond } = FRAMES;
  const numbers = [gcm, burst, bytes, perSecond, seconds].map(String);
  const process = new LineProcess({ script: ['test/bench/load/bare-dgram.ts', ports.join(','), ...numbers] });
  try {
    const { sent, refused, cpuS, userS } = doneSchema.parse(await process.event('done', DGRAM_DEADLINE_MS));
    return { totalUs: (cpuS * US_PER_S) / sent, userUs: (userS * US_PER_S) / sent, refused };
  } finally {
    await process.end();
  }
}

function costCells(costs: readonly Cost[]): string[] {
  const total = costs.map(({ totalUs }) => totalUs);
  const user = median(costs.map(({ userUs }) => userUs));
  return [spread(total, 2), `${user.toFixed(2)} / ${(median(total) - user).toFixed(2)}`];
}

/** Per datagram of a second that has both. */
function mixed(frames: Cost, sound: Cost): Cost {
  const ofFrames = FRAMES.burst * FRAMES.perSecond;
  const ofSound = SOUND.burst * SOUND.perSecond;
  const mean = (a: number, b: number): number => (a * ofFrames + b * ofSound) / (ofFrames + ofSound);
  return { totalUs: mean(frames.totalUs, sound.totalUs), userUs: mean(frames.userUs, sound.userUs) };
}

export const floorBench: Bench = {
  name: 'floor',
  about: 'bare loops of sendto, sendmmsg, UDP_SEGMENT and node:dgram, with and without AES-GCM (6 min)',
  async run(progress, { runs, viewers, windowS }): Promise<Table | null> {
    let floor: FloorAddon;
    try {
      floor = (await loadNative('floor.cc')) as FloorAddon;
    } catch (error) {
      progress(`left out: ${error instanceof Error ? error.message : error}`);
      return null;
    }
    const receiver = await openNativeReceiver();
    const rows: string[][] = [];
    for (const count of viewers ?? VIEWERS) {
      const sockets = Array.from({ length: count }, () => receiver.open(LOOPBACK, false, () => {}));
      for (const socket of sockets) socket.countOnly();
      const ports = Uint16Array.from(sockets, ({ port }) => port);
      const measure = (way: number, gcm: number, { burst, bytes, perSecond }: typeof FRAMES): Cost => {
        const out = new Float64Array(4);
        floor.run(way, gcm, ports, burst, bytes, perSecond, windowS ?? WINDOW_S, out);
        const [sent = 0, refused = 0, cpuS = 0, userS = 0] = out;
        if (refused > 0) progress(`${WAYS[way]}: ${refused} datagrams refused by the kernel`);
        return { totalUs: (cpuS * US_PER_S) / sent, userUs: (userS * US_PER_S) / sent };
      };
      const row = async (name: string, of: (gcm: number) => Cost | Promise<Cost>): Promise<void> => {
        const cells: string[][] = [];
        for (const gcm of [0, 1]) {
          const costs: Cost[] = [];
          for (let run = 0; run < runs; run++) costs.push(await of(gcm));
          cells.push(costCells(costs));
        }
        progress(`${count} viewers, ${name}: ${cells[0]?.[0]} µs, with GCM ${cells[1]?.[0]} µs`);
        rows.push([String(count), name, ...cells.flat()]);
      };
      for (const [way, name] of WAYS.entries()) await row(name, (gcm) => measure(way, gcm, FRAMES));
      await row('the same, and sound by sendmmsg', (gcm) =>
        mixed(measure(SEGMENTS, gcm, FRAMES), measure(SENDMMSG, gcm, SOUND)),
      );
      await row('node:dgram and node:crypto', async (gcm) => {
        const cost = await measureDgram(gcm, ports, windowS ?? WINDOW_S);
        if (cost.refused > 0) progress(`node:dgram: ${cost.refused} datagrams refused by the kernel`);
        return cost;
      });
      for (const socket of sockets) await socket.close();
    }
    return {
      title: 'The floor: bare loops',
      headers: ['viewers', 'by', 'CPU µs per packet', 'user / system', 'with AES-128-GCM', 'user / system'],
      rows,
      notes: [
        `One thread, one socket, ${BURST} datagrams of ${PACKET_BYTES} bytes to each viewer ${BURSTS_PER_SECOND} times a second; its own CPU by the kernel's count, median (least–greatest) of ${runs} runs.`,
        `The common source has sound as well: ${SOUND.perSecond} datagrams of ${SOUND.bytes} bytes a second to each viewer, which are messages of their own. The row with sound is what a datagram of both together costs.`,
        'The last row is a Node program that calls `socket.send` (node:dgram) for each of the same datagrams, and with GCM makes a cipher of node:crypto for each.',
        'On loopback the sender pays for the delivery into the receiving socket as well; a network card costs something else. No headers are rewritten, nothing is received, no report is written.',
      ],
    };
  },
};
