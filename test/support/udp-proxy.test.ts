import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { expect, test } from 'vitest';
import { UdpProxy } from './udp-proxy.ts';

const DATAGRAMS = 400;

async function openSocket(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1024 * 1024 });
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  return socket;
}

/** Sends numbered datagrams one after another and resolves with the numbers that came back from an echo at the target. */
async function echoed(seed: number, impair: (proxy: UdpProxy) => void): Promise<{ seen: number[]; proxy: UdpProxy }> {
  const echo = await openSocket();
  echo.on('message', (datagram, from) => echo.send(datagram, from.port, from.address));
  const client = await openSocket();
  const seen: number[] = [];
  client.on('message', (datagram) => seen.push(datagram.readUInt16BE()));
  await using proxy = await UdpProxy.open(`127.0.0.1:${echo.address().port}`, seed);
  impair(proxy);
  for (let number = 0; number < DATAGRAMS; number += 1) {
    const before = proxy.up.dropped + proxy.down.dropped + seen.length;
    const datagram = Buffer.alloc(2);
    datagram.writeUInt16BE(number);
    client.send(datagram, proxy.port, '127.0.0.1');
    while (proxy.up.dropped + proxy.down.dropped + seen.length === before) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  client.close();
  echo.close();
  return { seen, proxy };
}

test('passes everything both ways when nothing is wrong', async () => {
  const { seen } = await echoed(1, () => undefined);
  expect(seen).toHaveLength(DATAGRAMS);
});

test('loses about what it is told to, and the same datagrams for the same seed', async () => {
  const first = await echoed(7, (proxy) => proxy.impair({ lossRate: 0.05 }));
  const again = await echoed(7, (proxy) => proxy.impair({ lossRate: 0.05 }));
  const other = await echoed(8, (proxy) => proxy.impair({ lossRate: 0.05 }));
  expect(first.seen.length).toBeGreaterThan(DATAGRAMS * 0.85);
  expect(first.seen.length).toBeLessThan(DATAGRAMS * 0.95);
  expect(again.seen).toEqual(first.seen);
  expect(other.seen).not.toEqual(first.seen);
});

test('lets nothing through while it is cut', async () => {
  const { seen, proxy } = await echoed(1, (opened) => opened.impair({ cut: true }));
  expect(seen).toEqual([]);
  expect(proxy.up.dropped).toBe(DATAGRAMS);
});

test('a narrow line passes what its queue holds, in order, and loses the rest of a burst', async () => {
  const target = await openSocket();
  const seen: number[] = [];
  target.on('message', (datagram) => seen.push(datagram.readUInt16BE()));
  const client = await openSocket();
  await using proxy = await UdpProxy.open(`127.0.0.1:${target.address().port}`);
  // 10 ms for each datagram.
  proxy.impair({ rateBps: 800_000, queueMs: 200 });
  for (let number = 0; number < 100; number += 1) {
    const datagram = Buffer.alloc(1_000);
    datagram.writeUInt16BE(number);
    client.send(datagram, proxy.port, '127.0.0.1');
  }
  await expect.poll(() => proxy.up.dropped + seen.length).toBe(100);
  client.close();
  target.close();
  expect(seen.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, number) => number));
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  // More only where the burst itself took long.
  expect(seen.length).toBeLessThan(80);
});

test('puts itself in the place of the target and drops the other candidates', async () => {
  await using proxy = await UdpProxy.open('127.0.0.1:4000');
  const sdp = [
    'v=0',
    'a=candidate:1 1 udp 2130706431 127.0.0.1 4000 typ host',
    'a=candidate:2 1 udp 2130706430 192.0.2.1 4000 typ host',
    '',
  ].join('\r\n');
  const expected = ['v=0', `a=candidate:1 1 udp 2130706431 127.0.0.1 ${proxy.port} typ host`, ''].join('\r\n');
  expect(proxy.rewrite(sdp)).toBe(expected);
  expect(() => proxy.rewrite('v=0\r\n')).toThrow('no candidate');
});
