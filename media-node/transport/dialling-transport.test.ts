/** Transports that dial, on real sockets: two endpoints in this process. */
import { createSocket } from 'node:dgram';
import { readdirSync } from 'node:fs';
import { expect, onTestFinished, test } from 'vitest';
import { UdpProxy } from '../../test/support/udp-proxy.ts';
import { until } from '../../test/support/until.ts';
import { loadAddon } from '../forward/native/addon.ts';
import { deriveSessionKeys, keyBytes } from '../forward/srtp/session-keys.ts';
import { SRTP_OVERHEAD, SrtpSender } from '../forward/srtp/srtp-sender.ts';
import type { Fingerprint, IceCredentials } from '../negotiate/plan.ts';
import { NativeSockets } from './native-socket.ts';
import { HAS_IPV6 } from './testing/ipv6.ts';
import { readStun, stunCheck } from './testing/stun-check.ts';
import type { PeerTransport, SrtpKeys, TransportEnd } from './types.ts';
import { mintIceCredentials, openMediaEndpoint, type UdpMediaEndpoint } from './udp-endpoint.ts';

interface Side {
  transport: PeerTransport;
  keys: SrtpKeys | null;
  ended: TransportEnd | null;
  silent: boolean;
  media: string[];
}

interface Wishes {
  address?: string;
  fingerprints?: readonly Fingerprint[];
  /** Of the dialling side. */
  dtlsRole?: 'client' | 'server';
  candidates?: readonly { address: string; port: number; family: 4 | 6 }[];
  connectTimeoutMs?: number;
  silenceMs?: number;
  expiryMs?: number;
}

async function endpointOn(address: string): Promise<UdpMediaEndpoint> {
  const family = address.includes(':') ? 6 : 4;
  const endpoint = await openMediaEndpoint({ addresses: [{ bind: address, announce: address, family }], port: 0 });
  onTestFinished(() => endpoint.close());
  return endpoint;
}

function sideOf(open: (events: ReturnType<typeof eventsOf>) => PeerTransport): Side {
  const side: Omit<Side, 'transport'> & { transport?: PeerTransport } = {
    keys: null,
    ended: null,
    silent: false,
    media: [],
  };
  side.transport = open(eventsOf(side));
  return side as Side;
}

function eventsOf(side: Omit<Side, 'transport'>) {
  return {
    onConnected: (keys: SrtpKeys) => {
      side.keys = keys;
    },
    onMedia: (datagram: Buffer) => void side.media.push(datagram.toString('latin1', 1)),
    onSilence: (silent: boolean) => {
      side.silent = silent;
    },
    onEnded: (reason: TransportEnd) => {
      side.ended = reason;
    },
  };
}

const PATIENCE = { connectTimeoutMs: 20_000, silenceMs: 5_000, expiryMs: 30_000 };

function pair(
  lite: UdpMediaEndpoint,
  dialling: UdpMediaEndpoint,
  wishes: Wishes = {},
): { served: Side; dialled: Side; client: IceCredentials; server: IceCredentials } {
  const server = mintIceCredentials();
  const client = mintIceCredentials();
  const { dtlsRole = 'client', candidates = lite.candidates, fingerprints = [lite.fingerprint], ...patience } = wishes;
  const served = sideOf((events) => lite.createTransport({ ...PATIENCE, events, local: server, remote: null }));
  const dialled = sideOf((events) =>
    dialling.dialTransport({
      ...PATIENCE,
      ...patience,
      events,
      local: client,
      remote: { ice: server, fingerprints, dtlsRole },
      candidates,
    }),
  );
  // The answer takes its way through the edge: checks and the ClientHello are there before it.
  const answer = { ice: client, fingerprints: [dialling.fingerprint] };
  setImmediate(() => served.transport.setRemote({ ...answer, dtlsRole: dtlsRole === 'client' ? 'server' : 'client' }));
  return { served, dialled, client, server };
}

/** In the SRTP range. */
function packet(text: string): Buffer {
  return Buffer.from(`\x80${text}`, 'latin1');
}

test.each([
  ['127.0.0.1', 'client'],
  ['127.0.0.1', 'server'],
  ...(HAS_IPV6 ? [['::1', 'client'] as const] : []),
] as const)('a lite agent on %s is reached, we being the DTLS %s', async (address, dtlsRole) => {
  const [lite, other] = await Promise.all([endpointOn(address), endpointOn('127.0.0.1')]);

  const { served, dialled } = pair(lite, other, { dtlsRole });
  await until(() => served.keys !== null && dialled.keys !== null, 'the connection');
  served.transport.send(packet('down'));
  dialled.transport.send(packet('up'));
  await until(() => served.media.length > 0 && dialled.media.length > 0, 'media both ways');

  expect(dialled.keys?.profile).toBe('AEAD_AES_128_GCM');
  expect(dialled.keys?.localKey).toEqual(served.keys?.remoteKey);
  expect([served.media, dialled.media]).toEqual([['up'], ['down']]);
  expect(served.transport.remoteAddress).not.toBe(dialled.transport.remoteAddress);

  dialled.transport.close();
  await until(() => served.ended !== null, 'the end');
  expect(served.ended).toBe('peer-closed');
  expect(dialled.ended).toBeNull();
  expect(other.transportCount + lite.transportCount).toBe(0);
});

test('it says that it is there to who asks with its password, and to nobody else', async () => {
  const [lite, other] = await Promise.all([endpointOn('127.0.0.1'), endpointOn('127.0.0.1')]);
  const { served, dialled, client, server } = pair(lite, other);
  await until(() => served.keys !== null && dialled.keys !== null, 'the connection');
  const port = Number(served.transport.remoteAddress?.split(':')[1]);
  const asking = createSocket('udp4');
  onTestFinished(() => void asking.close());
  const answers: Buffer[] = [];
  asking.on('message', (answer) => answers.push(answer));
  const ask = (password: string, iceControlled: boolean): string => {
    const question = stunCheck({ username: `${client.ufrag}:${server.ufrag}`, password, iceControlled });
    asking.send(question, port, '127.0.0.1');
    return question.toString('hex', 8, 20);
  };
  ask('of somebody else, who may not ask', true);
  ask(client.pwd, false);
  const transaction = ask(client.pwd, true);
  await until(() => answers.length > 0, 'an answer');

  expect(answers.map((answer) => [readStun(answer).type, answer.toString('hex', 8, 20)])).toEqual([
    [0x0101, transaction],
  ]);
});

test('media is opened by the sockets, where they do that', { timeout: 120_000 }, async () => {
  const lite = await endpointOn('127.0.0.1');
  const other = await openMediaEndpoint({
    addresses: [{ bind: '127.0.0.1', announce: '127.0.0.1', family: 4 }],
    port: 0,
    sockets: new NativeSockets(await loadAddon()),
  });
  onTestFinished(() => other.close());
  const { served, dialled } = pair(lite, other);
  await until(() => served.keys !== null && dialled.keys !== null, 'the connection');
  const [theirs, ours] = [served.keys, dialled.keys];
  if (theirs === null || ours === null) throw new Error('no keys');
  const heard: [string, number][] = [];
  const bytes = keyBytes(deriveSessionKeys(ours.profile, ours.remoteKey, ours.remoteSalt));
  const isOpen = dialled.transport.openInbound?.({ profile: ours.profile, bytes }, (opened, length, index) => {
    heard.push([opened.toString('latin1', 12, length), index]);
  });
  const sender = new SrtpSender(deriveSessionKeys(theirs.profile, theirs.localKey, theirs.localSalt));
  const out = Buffer.alloc(12 + 4 + SRTP_OVERHEAD);
  out.writeUInt32BE(0x80600007, 0);
  served.transport.send(out.subarray(0, sender.protectRtp(out, 12, Buffer.from('text'), 0)));
  await until(() => heard.length > 0, 'media');

  expect([isOpen, heard, dialled.media]).toEqual([true, [['text', 7]], []]);
});

test('a candidate that does not answer, one of a family that is not there, and one that does', async () => {
  const [lite, other] = await Promise.all([endpointOn('127.0.0.1'), endpointOn('127.0.0.1')]);
  const dead = await endpointOn('127.0.0.1');
  const [{ port: deadPort } = { port: 0 }] = dead.candidates;
  const candidates = [
    { address: '127.0.0.1', port: deadPort, family: 4 },
    { address: '::1', port: deadPort, family: 6 },
    ...lite.candidates,
  ] as const;

  const { served, dialled } = pair(lite, other, { candidates });
  await until(() => served.keys !== null && dialled.keys !== null, 'the connection');

  expect(dialled.transport.remoteAddress).toBe(`127.0.0.1:${lite.candidates[0]?.port}`);
});

test('another certificate than signalling promised is refused, and the media of nobody is taken', async () => {
  const [lite, other] = await Promise.all([endpointOn('127.0.0.1'), endpointOn('127.0.0.1')]);

  const { dialled } = pair(lite, other, { fingerprints: [other.fingerprint] });
  await until(() => dialled.ended !== null, 'the end');

  expect(dialled.ended).toBe('dtls-failed');
  expect(dialled.keys).toBeNull();
  expect(other.transportCount).toBe(0);
});

test('a peer that cannot be reached is given up', async () => {
  const [lite, other] = await Promise.all([endpointOn('127.0.0.1'), endpointOn('127.0.0.1')]);

  const { dialled } = pair(lite, other, { candidates: [], connectTimeoutMs: 200 });
  await until(() => dialled.ended !== null, 'the end');

  expect(dialled.ended).toBe('never-connected');
});

test('a handshake survives loss, and a cut way is noticed by checks although nobody sends', async () => {
  const [lite, other] = await Promise.all([endpointOn('127.0.0.1'), endpointOn('127.0.0.1')]);
  await using proxy = await UdpProxy.open(`127.0.0.1:${lite.candidates[0]?.port}`);
  proxy.impair({ lossRate: 0.2 });
  const candidates = [{ address: '127.0.0.1', port: proxy.port, family: 4 as const }];

  const { served, dialled } = pair(lite, other, { candidates, silenceMs: 2_000, expiryMs: 7_000 });
  await until(() => served.keys !== null && dialled.keys !== null, 'the connection');
  proxy.impair({ lossRate: 0 });
  proxy.impair({ cut: true });
  await until(() => dialled.silent, 'silence');
  proxy.impair({ cut: false });
  await until(() => !dialled.silent, 'signs of life');
  proxy.impair({ cut: true });
  await until(() => dialled.ended !== null, 'the end');

  expect(dialled.ended).toBe('silence');
});

test('media goes on when a NAT has given us another port', async () => {
  const [lite, other] = await Promise.all([endpointOn('127.0.0.1'), endpointOn('127.0.0.1')]);
  await using proxy = await UdpProxy.open(`127.0.0.1:${lite.candidates[0]?.port}`);
  const candidates = [{ address: '127.0.0.1', port: proxy.port, family: 4 as const }];
  const { served, dialled } = pair(lite, other, { candidates });
  await until(() => served.keys !== null && dialled.keys !== null, 'the connection');
  const before = served.transport.remoteAddress;

  proxy.rebind();
  await until(() => served.transport.remoteAddress !== before, 'another path');
  served.transport.send(packet('down'));

  await until(() => dialled.media.length > 0, 'media');
  expect([dialled.media, dialled.ended, served.ended]).toEqual([['down'], null, null]);
});

test('descriptors are given back on every path', async () => {
  const [lite, other] = await Promise.all([endpointOn('127.0.0.1'), endpointOn('127.0.0.1')]);
  const before = descriptors();

  for (let i = 0; i < 40; i++) {
    const { served, dialled } = pair(lite, other);
    // Closed at once, while the socket opens, or when it is up.
    if (i % 2 === 0) await until(() => dialled.keys !== null && served.keys !== null, 'the connection');
    dialled.transport.close();
    served.transport.close();
  }
  const failing = pair(lite, other, { fingerprints: [other.fingerprint] });
  await until(() => failing.dialled.ended !== null, 'the end');
  failing.served.transport.close();

  await until(() => descriptors() <= before, 'the descriptors');
  expect(other.transportCount + lite.transportCount).toBe(0);
});

function descriptors(): number {
  return readdirSync('/proc/self/fd').length;
}
