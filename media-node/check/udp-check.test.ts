import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, describe, expect, test } from 'vitest';
import type { MediaAddress } from '../addresses.ts';
import { probe } from './probe.ts';
import { bareSuccess } from './stun-message.ts';
import { checkUdp, judgeAnnounced, type UdpCheckOptions } from './udp-check.ts';

const LOOPBACK: MediaAddress = { bind: '127.0.0.1', announce: '127.0.0.1', family: 4 };
/** A 1:1 NAT that nothing stands behind: TEST-NET-1. */
const BEHIND_NAT: MediaAddress = { bind: '127.0.0.1', announce: '127.0.0.99', family: 4 };

const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) {
    const closed = once(socket, 'close');
    socket.close();
    await closed;
  }
});

async function bind(address = '127.0.0.1'): Promise<{ socket: Socket; port: number }> {
  const socket = createSocket('udp4');
  sockets.push(socket);
  const listening = once(socket, 'listening');
  socket.bind(0, address);
  await listening;
  return { socket, port: socket.address().port };
}

function check(change: Partial<UdpCheckOptions>) {
  return checkUdp({ addresses: [LOOPBACK], ports: [0], stun: null, waitMs: 0, onWait: () => undefined, ...change });
}

/** A STUN server that sees everybody under one address; `port` null: the one that is true. */
async function stunServer(address: readonly number[], port: number | null): Promise<{ host: string; port: number }> {
  const { socket, port: own } = await bind();
  socket.on('message', (request, from) => {
    const value = Buffer.alloc(12);
    value.writeUInt16BE(0x0020, 0);
    value.writeUInt16BE(8, 2);
    value[5] = 1;
    value.writeUInt16BE((port ?? from.port) ^ 0x2112, 6);
    address.forEach((byte, index) => {
      value[8 + index] = byte ^ (request[4 + index] ?? 0);
    });
    const answer = Buffer.concat([bareSuccess(request), value]);
    answer.writeUInt16BE(value.length, 2);
    socket.send(answer, from.port, from.address);
  });
  return { host: '127.0.0.1', port: own };
}

test('a port that works', async () => {
  expect((await check({})).map(({ outcome, subject }) => `${subject} ${outcome}`)).toEqual(['UDP port ok', 'loop ok']);
});

test('a port that is taken, an address that is not ours', async () => {
  const { port } = await bind();
  expect(await check({ ports: [port] })).toEqual([
    { outcome: 'failed', subject: 'UDP port', detail: expect.stringContaining(`${port} on 127.0.0.1 is in use`) },
  ]);
  expect(await check({ addresses: [{ bind: '192.0.2.200', announce: '192.0.2.200', family: 4 }] })).toEqual([
    { outcome: 'failed', subject: 'UDP port', detail: expect.stringContaining('no address of this machine') },
  ]);
});

test('a NAT whose inside hears nothing of itself is no proof of anything', async () => {
  const [, loop] = await check({ addresses: [BEHIND_NAT] });
  expect(loop).toMatchObject({ outcome: 'unknown', subject: 'loop' });
});

describe('seen from outside', () => {
  const outside = async (address: readonly number[], port: number | null, announced = LOOPBACK) =>
    (await check({ addresses: [announced], stun: await stunServer(address, port) })).find(
      ({ subject }) => subject === 'outside',
    );

  test('as announced', async () => {
    expect(await outside([127, 0, 0, 1], null)).toMatchObject({ outcome: 'ok' });
  });

  test('under another address', async () => {
    expect(await outside([203, 0, 113, 7], null)).toMatchObject({
      outcome: 'failed',
      detail: expect.stringContaining('set MEDIA_ADDRESSES=127.0.0.1/203.0.113.7'),
    });
  });

  test('under another port', async () => {
    expect(await outside([127, 0, 0, 1], 4)).toMatchObject({
      outcome: 'failed',
      detail: expect.stringMatching(/turns port \d+ into 4/),
    });
  });

  test('not at all', async () => {
    const { port } = await bind();
    const found = await check({ stun: { host: '127.0.0.1', port } });
    expect(found).toContainEqual(expect.objectContaining({ outcome: 'unknown', subject: 'outside' }));
  });
});

describe('--wait and --probe', () => {
  test('find each other', async () => {
    const said = Promise.withResolvers<string>();
    const found = check({ waitMs: 10_000, onWait: said.resolve });
    const target = /--probe (\S+)/.exec(await said.promise)?.[1] ?? '';
    const lines: string[] = [];
    expect(await probe(target, (line) => lines.push(line))).toBe(true);
    expect(lines).toEqual([expect.stringContaining('its answers come back')]);
    expect(await found).toContainEqual(expect.objectContaining({ outcome: 'ok', subject: 'from outside' }));
  });

  test('say so when nothing comes', async () => {
    expect(await check({ waitMs: 50 })).toContainEqual(
      expect.objectContaining({ outcome: 'failed', subject: 'from outside' }),
    );
    const { port } = await bind();
    const lines: string[] = [];
    expect(await probe(`127.0.0.1:${port}`, (line) => lines.push(line), 100)).toBe(false);
    expect(lines).toEqual([expect.stringContaining('open the UDP port')]);
  });

  test('want to know where', async () => {
    await expect(probe('example.org', () => undefined)).rejects.toThrow('HOST:PORT');
  });
});

describe('what is announced', () => {
  const PRIVATE: MediaAddress = { bind: '10.0.0.5', announce: '10.0.0.5', family: 4 };
  const PUBLIC: MediaAddress = { bind: '10.0.0.5', announce: '8.8.4.4', family: 4 };
  test.each([
    ['private, to an edge in public', [PRIVATE], ['1.1.1.1'], '9.9.9.9', 'failed', 'MEDIA_ADDRESSES=10.0.0.5/9.9.9.9'],
    ['private, unseen', [PRIVATE], ['1.1.1.1'], null, 'failed', 'MEDIA_ADDRESSES=10.0.0.5/PUBLIC-ADDRESS'],
    ['private, as the edge is', [PRIVATE], ['10.0.0.9'], null, 'ok', 'private, as the edge is'],
    ['public, and seen so', [PUBLIC], ['1.1.1.1'], '8.8.4.4', 'ok', 'sees us as 8.8.4.4'],
    [
      'public, and seen otherwise',
      [PUBLIC],
      ['1.1.1.1'],
      '9.9.9.9',
      'warning',
      'is the announced address the right one?',
    ],
    ['public, unseen', [PUBLIC], ['1.1.1.1'], null, 'ok', '8.8.4.4'],
  ])('%s', (_, addresses, edge, seenAs, outcome, words) => {
    const finding = judgeAnnounced(addresses, edge, seenAs);
    expect(finding).toMatchObject({ outcome, detail: expect.stringContaining(words) });
  });
});
