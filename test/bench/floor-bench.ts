/** What the bare kernel of this machine takes for the datagrams of a fan-out: the floor under every engine. */

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
const WAYS = ['sendto', 'sendmmsg', 'sendmmsg + UDP_SEGMENT'] as const;

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

export const floorBench: Bench = {
  name: 'floor',
  about: 'bare loops of sendto, sendmmsg and UDP_SEGMENT, with and without AES-GCM (3 min)',
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
      for (const [way, name] of WAYS.entries()) {
        const cells = [0, 1].map((gcm) => {
          const total: number[] = [];
          const user: number[] = [];
          for (let run = 0; run < runs; run++) {
            const out = new Float64Array(4);
            floor.run(way, gcm, ports, BURST, PACKET_BYTES, BURSTS_PER_SECOND, windowS ?? WINDOW_S, out);
            const [sent = 0, refused = 0, cpuS = 0, userS = 0] = out;
            if (refused > 0) progress(`${name}: ${refused} datagrams refused by the kernel`);
            total.push((cpuS * US_PER_S) / sent);
            user.push((userS * US_PER_S) / sent);
          }
          return [spread(total, 2), `${median(user).toFixed(2)} / ${(median(total) - median(user)).toFixed(2)}`];
        });
        progress(`${count} viewers, ${name}: ${cells[0]?.[0]} µs, with GCM ${cells[1]?.[0]} µs`);
        rows.push([String(count), name, ...cells.flat()]);
      }
      for (const socket of sockets) await socket.close();
    }
    return {
      title: 'The floor: bare loops',
      headers: ['viewers', 'by', 'CPU µs per packet', 'user / system', 'with AES-128-GCM', 'user / system'],
      rows,
      notes: [
        `One thread, one socket, ${BURST} datagrams of ${PACKET_BYTES} bytes to each viewer ${BURSTS_PER_SECOND} times a second; its own CPU by the kernel's count, median (least–greatest) of ${runs} runs.`,
        'On loopback the sender pays for the delivery into the receiving socket as well; a network card costs something else. No headers are rewritten, nothing is received, no report is written.',
      ],
    };
  },
};
