/** What the bare kernel of this machine takes for the datagrams of a fan-out: the floor under every engine. */

import { z } from 'zod';
import { LineProcess } from '../support/line-process.ts';
import type { Bench, Table } from './bench.ts';
import { type Bursts, type Cost, Floor, FRAMES, SOUND, WAYS, type Way } from './floor.ts';
import { median, spread } from './statistics.ts';

const VIEWERS = [1, 100, 500];
const WINDOW_S = 2;
const US_PER_S = 1e6;
const DGRAM_DEADLINE_MS = 60_000;

const doneSchema = z.object({ sent: z.number(), refused: z.number(), cpuS: z.number(), userS: z.number() });

/** In a process of its own: all of its CPU is counted. */
async function measureDgram(gcm: boolean, ports: Uint16Array, seconds: number): Promise<Cost & { refused: number }> {
  const { burst, bytes, perSecond } = FRAMES;
  const numbers = [gcm ? 1 : 0, burst, bytes, perSecond, seconds].map(String);
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
    const rows: string[][] = [];
    for (const count of viewers ?? VIEWERS) {
      let opened: Floor;
      try {
        opened = await Floor.open(count);
      } catch (error) {
        progress(`left out: ${error instanceof Error ? error.message : error}`);
        return null;
      }
      await using floor = opened;
      const measure = (way: Way, gcm: boolean, bursts: Bursts): Cost => {
        const cost = floor.measure(way, gcm, bursts, windowS ?? WINDOW_S);
        if (cost.refused > 0) progress(`${way}: ${cost.refused} datagrams refused by the kernel`);
        return cost;
      };
      const row = async (name: string, of: (gcm: boolean) => Cost | Promise<Cost>): Promise<void> => {
        const cells: string[][] = [];
        for (const gcm of [false, true]) {
          const costs: Cost[] = [];
          for (let run = 0; run < runs; run++) costs.push(await of(gcm));
          cells.push(costCells(costs));
        }
        progress(`${count} viewers, ${name}: ${cells[0]?.[0]} µs, with GCM ${cells[1]?.[0]} µs`);
        rows.push([String(count), name, ...cells.flat()]);
      };
      for (const way of WAYS) await row(way, (gcm) => measure(way, gcm, FRAMES));
      await row('the same, and sound by sendmmsg', (gcm) =>
        mixed(measure('sendmmsg + UDP_SEGMENT', gcm, FRAMES), measure('sendmmsg', gcm, SOUND)),
      );
      await row('node:dgram and node:crypto', async (gcm) => {
        const cost = await measureDgram(gcm, floor.ports, windowS ?? WINDOW_S);
        if (cost.refused > 0) progress(`node:dgram: ${cost.refused} datagrams refused by the kernel`);
        return cost;
      });
    }
    return {
      title: 'The floor: bare loops',
      headers: ['viewers', 'by', 'CPU µs per packet', 'user / system', 'with AES-128-GCM', 'user / system'],
      rows,
      notes: [
        `One thread, one socket, ${FRAMES.burst} datagrams of ${FRAMES.bytes} bytes to each viewer ${FRAMES.perSecond} times a second; its own CPU by the kernel's count, median (least–greatest) of ${runs} runs.`,
        `The common source has sound as well: ${SOUND.perSecond} datagrams of ${SOUND.bytes} bytes a second to each viewer, which are messages of their own. The row with sound is what a datagram of both together costs.`,
        'The last row is a Node program that calls `socket.send` (node:dgram) for each of the same datagrams, and with GCM makes a cipher of node:crypto for each.',
        'On loopback the sender pays for the delivery into the receiving socket as well; a network card costs something else. No headers are rewritten, nothing is received, no report is written.',
      ],
    };
  },
};
