/** Data channels with libwebrtc over real UDP, with and without loss. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { MAX_MESSAGE_BYTES } from './data-channels.ts';
import { eventually, LOSSY_PATIENCE_MS, LOSSY_TEST_MS } from './testing/eventually.ts';
import { type LossProxy, openLossProxy } from './testing/loss-proxy.ts';
import { openLoopback, openSession } from './testing/session.ts';
import { openWrtcChannels, type WrtcChannel, type WrtcChannels } from './testing/wrtc-channels.ts';
import type { DataChannel, DataChannels } from './types.ts';
import type { UdpMediaEndpoint } from './udp-endpoint.ts';

let endpoint: UdpMediaEndpoint;
const peers: WrtcChannels[] = [];
const proxies: LossProxy[] = [];

beforeEach(async () => {
  endpoint = await openLoopback();
});

afterEach(async () => {
  for (const { connection } of peers.splice(0)) connection.close();
  for (const proxy of proxies.splice(0)) proxy.close();
  await endpoint.close();
  expect([endpoint.transportCount, endpoint.tableSize]).toEqual([0, 0]);
});

interface Message {
  data: Buffer;
  isBinary: boolean;
}

interface Connected {
  peer: WrtcChannels;
  theirs: WrtcChannel;
  channels: DataChannels;
  ours: DataChannel;
  /** Ours heard this. */
  heard: Message[];
  /** They heard this. */
  answered: (string | ArrayBuffer)[];
  closed: string[];
  transport: { close(): void };
}

async function connect(
  options: { ordered?: boolean; maxRetransmits?: number } = {},
  loss?: { rate: number; seed: number },
): Promise<Connected> {
  let theirs: WrtcChannel | undefined;
  const peer = await openWrtcChannels((connection) => {
    theirs = connection.createDataChannel('signal', options);
  });
  peers.push(peer);
  if (theirs === undefined) throw new Error('no channel');
  theirs.binaryType = 'arraybuffer';
  const answered: Connected['answered'] = [];
  theirs.onmessage = ({ data }) => void answered.push(data);
  const session = openSession(endpoint, { remote: peer.remote });
  const opened: DataChannel[] = [];
  const heard: Message[] = [];
  const closed: string[] = [];
  const channels = session.transport.openDataChannels({
    remotePort: 5000,
    maxMessageBytes: 256 * 1024,
    events: {
      onChannel: (channel) => {
        opened.push(channel);
        channel.onMessage = (data, isBinary) => void heard.push({ data, isBinary });
        channel.onClose = () => void closed.push(channel.label);
      },
    },
  });
  let port = endpoint.candidates[0]?.port ?? 0;
  if (loss !== undefined) {
    const proxy = await openLossProxy(port, loss.rate, loss.seed);
    proxies.push(proxy);
    port = proxy.port;
  }
  await peer.answer({ local: session.local, fingerprint: endpoint.fingerprint, port });
  const patienceMs = loss === undefined ? undefined : LOSSY_PATIENCE_MS;
  await eventually(() => expect(opened).toHaveLength(1), patienceMs);
  const [ours] = opened;
  if (ours === undefined) throw new Error('no channel');
  await eventually(() => expect(theirs?.readyState).toBe('open'), patienceMs);
  return { peer, theirs, channels, ours, heard, answered, closed, transport: session.transport };
}

const text = (data: string | ArrayBuffer | undefined): string =>
  typeof data === 'string' ? data : Buffer.from(data ?? new ArrayBuffer(0)).toString();

/** Bytes that tell their place. */
function pattern(length: number, seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length }, (_, index) => (index * 31 + seed) & 0xff));
}

describe.each([
  ['ordered', {}],
  ['unordered', { ordered: false }],
  ['unordered without retransmissions', { ordered: false, maxRetransmits: 0 }],
] as const)('%s', (_what, options) => {
  test('opens, and carries binary, text and empty messages both ways', async () => {
    const { theirs, ours, heard, answered } = await connect(options);
    expect([ours.label, ours.ordered, ours.open]).toEqual(['signal', !('ordered' in options), true]);

    theirs.send(Uint8Array.from([1, 2, 3]));
    theirs.send('täxt');
    theirs.send('');
    await eventually(() => expect(heard).toHaveLength(3));
    expect(heard.map(({ isBinary }) => isBinary)).toEqual([true, false, false]);
    expect(heard.map(({ data }) => data.toString('hex'))).toEqual(['010203', Buffer.from('täxt').toString('hex'), '']);

    expect(ours.send(Buffer.from('hello'))).toBe(true);
    expect(ours.send(Buffer.alloc(0))).toBe(true);
    await eventually(() => expect(answered).toHaveLength(2));
    expect(answered.map(text)).toEqual(['hello', '']);
    await eventually(() => expect(ours.bufferedBytes).toBe(0));
  });

  test('60 KB messages arrive whole both ways while a tenth of the datagrams is lost', {
    timeout: LOSSY_TEST_MS,
  }, async () => {
    const { theirs, ours, heard, answered } = await connect(options, { rate: 0.1, seed: 5 });

    for (let seed = 0; seed < 4; seed++) {
      theirs.send(pattern(60_000, seed));
      expect(ours.send(pattern(60_000, 100 + seed))).toBe(true);
    }

    // How soon that is to be: sctp-recovery.test.ts.
    await eventually(() => expect([heard.length, answered.length]).toEqual([4, 4]), LOSSY_PATIENCE_MS);
    const firsts = (messages: readonly Buffer[]): number[] =>
      messages.map((data) => data[0] ?? -1).sort((a, b) => a - b);
    expect(firsts(heard.map(({ data }) => data))).toEqual([0, 1, 2, 3]);
    for (const { data } of heard) expect(data.equals(pattern(60_000, data[0] ?? 0))).toBe(true);
    const received = answered.map((data) => (typeof data === 'string' ? Buffer.alloc(0) : Buffer.from(data)));
    expect(firsts(received)).toEqual([100, 101, 102, 103]);
    for (const data of received) expect(data.equals(pattern(60_000, data[0] ?? 0))).toBe(true);
    if (!('ordered' in options)) expect(heard.map(({ data }) => data[0])).toEqual([0, 1, 2, 3]);
    expect(proxies[0]?.lost).toBeGreaterThan(10);
  });
});

test('the longest message that we announce arrives', async () => {
  const { theirs, heard } = await connect();

  theirs.send(pattern(MAX_MESSAGE_BYTES, 0));

  await eventually(() => expect(heard.map(({ data }) => data.length)).toEqual([MAX_MESSAGE_BYTES]));
});

test('a channel of ours opens at the peer and carries messages', async () => {
  const { peer, channels } = await connect();
  const arrived: WrtcChannel[] = [];
  peer.connection.addEventListener('datachannel', ({ channel }) => {
    channel.binaryType = 'arraybuffer';
    channel.onmessage = ({ data }) => channel.send(`echo ${text(data)}`);
    arrived.push(channel);
  });

  const ours = channels.open('data');
  const heard: string[] = [];
  if (ours === null) throw new Error('no channel');
  ours.onMessage = (data) => void heard.push(data.toString());
  const early = ours.send(Buffer.from('before the ACK'));

  await eventually(() => expect(heard).toEqual(['echo before the ACK']));
  expect([early, ours.open, arrived[0]?.label]).toEqual([true, true, 'data']);
});

test('the peer closes a channel: ours hears of it, and the number can be used again', async () => {
  const { peer, theirs, channels, closed, ours } = await connect();

  theirs.close();
  await eventually(() => expect(closed).toEqual(['signal']));
  await eventually(() => expect(theirs.readyState).toBe('closed'));
  expect([ours.open, ours.send(Buffer.from('x')), channels.channels.length]).toEqual([false, false, 0]);

  const again = peer.connection.createDataChannel('again');
  await eventually(() => expect(channels.channels.map(({ label }) => label)).toEqual(['again']));
  await eventually(() => expect(again.readyState).toBe('open'));
});

test('we close a channel, then all of them with the transport', async () => {
  const { peer, theirs, ours, channels } = await connect();
  const second = peer.connection.createDataChannel('second');
  await eventually(() => expect(channels.channels).toHaveLength(2));

  ours.close();
  await eventually(() => expect(theirs.readyState).toBe('closed'));
  await eventually(() => expect(second.readyState).toBe('open'));

  channels.close();
  await eventually(() => expect(second.readyState).toBe('closed'));
});

test('when the peer goes, the channels are told', async () => {
  const { peer, closed } = await connect();

  peer.connection.close();

  await eventually(() => expect(closed).toEqual(['signal']));
});

test('more channels than allowed are closed at once, and the first ones work on', async () => {
  const { peer, theirs, channels, heard } = await connect();

  const more = Array.from({ length: 40 }, (_, index) => peer.connection.createDataChannel(`more ${index}`));

  await eventually(() => expect(more.filter(({ readyState }) => readyState === 'closed')).toHaveLength(25));
  expect(channels.channels).toHaveLength(16);
  theirs.send('still there');
  await eventually(() => expect(heard.map(({ data }) => data.toString())).toEqual(['still there']));
});
