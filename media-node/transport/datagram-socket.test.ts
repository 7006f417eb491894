/** What every kind of socket must do; the native ones also against what they are made of. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { afterEach, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { freeUdpPort } from '../../test/support/free-port.ts';
import { loadAddon } from '../forward/native/addon.ts';
import {
  type DatagramOwner,
  type DatagramSocket,
  type DatagramSockets,
  MAX_DATAGRAM_BYTES,
  NO_KEYRING,
} from './datagram-socket.ts';
import { NativeSockets } from './native-socket.ts';
import { eventually } from './testing/eventually.ts';
import { HAS_IPV6 } from './testing/ipv6.ts';
import { portableSockets } from './udp-socket.ts';

type Addon = Awaited<ReturnType<typeof loadAddon>>;
let addon: Addon | Error = new Error('not tried');
beforeAll(async () => {
  addon = await loadAddon().catch((error: Error) => error);
}, 120_000);

const KINDS: [string, () => DatagramSockets][] = [['portable', () => portableSockets]];
// Only where it can be built; addon.test.ts says when it cannot.
if (process.platform === 'linux') {
  KINDS.push([
    'native',
    () => {
      if (addon instanceof Error) throw addon;
      return new NativeSockets(addon);
    },
  ]);
}

class Owner implements DatagramOwner {
  keyring = NO_KEYRING;
}

interface Note {
  bytes: Buffer;
  address: string;
  port: number;
  owner: Owner | null;
}

describe.each(KINDS)('%s sockets', (kind, make) => {
  let sockets: DatagramSockets;
  const opened: DatagramSocket<Owner>[] = [];

  async function bind(address = '127.0.0.1', family: 4 | 6 = 4, port = 0) {
    sockets ??= make();
    const socket = await sockets.bind<Owner>(address, family, port);
    opened.push(socket);
    const notes: Note[] = [];
    socket.onDatagram = (bytes, from, fromPort, owner) =>
      void notes.push({ bytes: Buffer.from(bytes), address: from, port: fromPort, owner });
    return { socket, notes };
  }

  afterEach(async () => {
    for (const socket of opened.splice(0)) await socket.close();
  });

  async function client(address = '127.0.0.1', family: 4 | 6 = 4): Promise<Socket> {
    const socket = createSocket(family === 4 ? 'udp4' : 'udp6');
    onTestFinished(() => void socket.close());
    socket.bind(0, address);
    await once(socket, 'listening');
    return socket;
  }

  test('bound to one address, they tell who sent what, and answer from there', async () => {
    const { socket, notes } = await bind('127.0.0.3');
    const peer = await client();
    const answers: { text: string; address: string }[] = [];
    peer.on('message', (bytes, { address }) => void answers.push({ text: String(bytes), address }));
    for (const text of ['one', '', 'three']) peer.send(text, socket.port, '127.0.0.3');
    await eventually(() => expect(notes).toHaveLength(3));
    socket.send(Buffer.from('answer'), '127.0.0.1', peer.address().port);
    await eventually(() => expect(answers).toEqual([{ text: 'answer', address: '127.0.0.3' }]));

    const from = { address: '127.0.0.1', port: peer.address().port, owner: null };
    expect(notes.map(({ bytes, ...rest }) => ({ text: String(bytes), ...rest }))).toEqual(
      ['one', '', 'three'].map((text) => ({ text, ...from })),
    );
    // Nobody listens on the others.
    expect(socket.fd).toBeGreaterThan(2);
    expect(socket.receiveBufferBytes).toBeGreaterThan(1000);
    expect(socket.sendBufferBytes).toBeGreaterThan(1000);
    expect(socket.errorCount).toBe(0);
  });

  test.skipIf(!HAS_IPV6)('IPv6 is IPv6 only', async () => {
    const { socket, notes } = await bind('::1', 6, await freeUdpPort());
    const second = await bind('127.0.0.1', 4, socket.port);
    const peer = await client('::1', 6);
    peer.send('x', socket.port, '::1');
    await eventually(() => expect(notes[0]).toMatchObject({ address: '::1', port: peer.address().port }));
    socket.send(Buffer.from('back'), '::1', peer.address().port);
    await once(peer, 'message');
    expect(second.notes).toEqual([]);
    const all = await bind('::', 6, await freeUdpPort());
    await bind('0.0.0.0', 4, all.socket.port);
  });

  const linkLocal = Object.entries(networkInterfaces())
    .flatMap(([name, list]) => (list ?? []).map((entry) => ({ name, ...entry })))
    .find(({ address, internal }) => address.startsWith('fe80:') && !internal);
  test.skipIf(linkLocal === undefined)('link-local addresses carry their zone', async () => {
    const address = `${linkLocal?.address}%${linkLocal?.name}`;
    const { socket, notes } = await bind(address, 6);
    const other = await bind(address, 6);
    other.socket.send(Buffer.from('x'), address, socket.port);
    await eventually(() => expect(notes[0]).toMatchObject({ address, port: other.socket.port }));
  });

  test('a port in use and an address of others are errors with a code', async () => {
    const { socket } = await bind();
    await expect(bind('127.0.0.1', 4, socket.port)).rejects.toMatchObject({ code: 'EADDRINUSE' });
    await expect(bind('192.0.2.77')).rejects.toMatchObject({ code: 'EADDRNOTAVAIL' });
  });

  test('claims name owners; they move, and only their owner releases them', async () => {
    const { socket, notes } = await bind();
    const [peer, other] = [await client(), await client()];
    const [a, b] = [new Owner(), new Owner()];
    const owners: (Owner | null)[] = [];
    const ask = async (): Promise<void> => {
      peer.send('x', socket.port, '127.0.0.1');
      await eventually(() => expect(notes).toHaveLength(owners.length + 1));
      owners.push(notes.at(-1)?.owner ?? null);
    };
    const address = ['127.0.0.1', peer.address().port] as const;
    await ask();
    socket.claim(...address, a);
    socket.claim(...address, a);
    socket.claim('127.0.0.1', other.address().port, b);
    expect(socket.claimCount).toBe(2);
    await ask();
    socket.claim(...address, b);
    await ask();
    socket.release(...address, a);
    await ask();
    expect(socket.claimCount).toBe(2);
    socket.release(...address, b);
    await ask();
    expect(owners).toEqual([null, a, b, b, null]);
    expect(socket.claimCount).toBe(1);
  });

  test('a burst of more than one batch comes whole and in order; what is too long comes as nothing', async () => {
    const { socket, notes } = await bind();
    const peer = await client();
    const lengths = Array.from({ length: 300 }, (_, i) =>
      i % 50 === 7 ? MAX_DATAGRAM_BYTES + 1 : 4 + ((i * 7) % 200),
    );
    lengths[3] = MAX_DATAGRAM_BYTES;
    for (const [i, length] of lengths.entries()) {
      const bytes = Buffer.alloc(length, i & 0xff);
      bytes.writeUInt32BE(i, 0);
      peer.send(bytes, socket.port, '127.0.0.1');
    }
    await eventually(() => expect(notes).toHaveLength(300));
    expect(notes.map(({ bytes }) => bytes.length)).toEqual(lengths.map((n) => (n > MAX_DATAGRAM_BYTES ? 0 : n)));
    const whole = notes.filter(({ bytes }) => bytes.length > 0);
    expect(whole.every(({ bytes }) => bytes.at(-1) === (bytes.readUInt32BE(0) & 0xff) || bytes.length === 4)).toBe(
      true,
    );
    expect(whole.map(({ bytes }) => bytes.readUInt32BE(0))).toEqual(
      [...lengths.keys()].filter((i) => (lengths[i] ?? 0) <= MAX_DATAGRAM_BYTES),
    );
  });

  test('closed in the middle of a batch, nothing more comes, and the port is free', async () => {
    const { socket, notes } = await bind();
    const peer = await client();
    const closed: Promise<void>[] = [];
    const note = socket.onDatagram;
    socket.onDatagram = (...given) => {
      note(...given);
      if (notes.length === 3) closed.push(socket.close());
    };
    for (let i = 0; i < 20; i++) peer.send('x', socket.port, '127.0.0.1');
    await eventually(() => expect(closed).toHaveLength(1));
    await closed[0];
    const { socket: next, notes: later } = await bind('127.0.0.1', 4, socket.port);
    peer.send('y', next.port, '127.0.0.1');
    await eventually(() => expect(later.some(({ bytes }) => String(bytes) === 'y')).toBe(true));
    expect(notes).toHaveLength(3);
    expect(socket.fd).toBeNull();
    socket.send(Buffer.from('x'), '127.0.0.1', 9);
    socket.claim('127.0.0.1', 9, new Owner());
    await socket.close();
  });

  test('what cannot be sent is counted', async () => {
    const { socket } = await bind();
    socket.send(Buffer.alloc(70_000), '127.0.0.1', 9);
    await eventually(() => expect(socket.errorCount).toBe(1));
  });

  test.runIf(kind === 'native')('what the kernel has to drop is counted', async () => {
    const { socket } = await bind();
    const { socket: sender } = await bind();
    const bytes = Buffer.alloc(2_000);
    const enough = 2 * Math.ceil(socket.receiveBufferBytes / bytes.length);
    for (let i = 0; i < enough; i++) sender.send(bytes, '127.0.0.1', socket.port);
    expect(socket.overflowCount).toBeGreaterThan(0);
  });
});
