/** A UDP proxy on loopback that loses datagrams by a seed: one upstream, any number of clients. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { seededRandom } from './seeded.ts';

export interface LossProxy {
  readonly port: number;
  readonly lost: number;
  close(): void;
}

export async function openLossProxy(upstreamPort: number, loss: number, seed: number): Promise<LossProxy> {
  const random = seededRandom(seed);
  const front = createSocket('udp4');
  const backs = new Map<number, Socket>();
  let lost = 0;
  const lose = (): boolean => {
    if (random() >= loss) return false;
    lost += 1;
    return true;
  };
  front.on('message', (data, { port, address }) => {
    let back = backs.get(port);
    if (back === undefined) {
      back = createSocket('udp4');
      back.on('message', (reply) => {
        if (!lose()) front.send(reply, port, address);
      });
      backs.set(port, back);
    }
    if (!lose()) back.send(data, upstreamPort, '127.0.0.1');
  });
  front.bind(0, '127.0.0.1');
  await once(front, 'listening');
  return {
    port: front.address().port,
    get lost() {
      return lost;
    },
    close() {
      front.close();
      for (const back of backs.values()) back.close();
    },
  };
}
