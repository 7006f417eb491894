/** A session whose media is opened by the sockets of the addon, from the handshake to the listener. */
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeAll, expect, onTestFinished, test } from 'vitest';
import { buildAddon, loadAddon } from '../forward/native/addon.ts';
import { deriveSessionKeys, keyBytes } from '../forward/srtp/session-keys.ts';
import { SRTP_OVERHEAD, SrtpSender } from '../forward/srtp/srtp-sender.ts';
import { NativeSockets } from './native-socket.ts';
import { freshCertificate } from './testing/dtls-pair.ts';
import { eventually } from './testing/eventually.ts';
import { LOOPBACK, NO_PEER, openSession } from './testing/session.ts';
import { openUdpPeer, type UdpPeer } from './testing/udp-peer.ts';
import { INBOUND_REFUSED, INBOUND_RTCP } from './types.ts';
import { openMediaEndpoint, type UdpMediaEndpoint } from './udp-endpoint.ts';

const run = promisify(execFile);
const support = (name: string): string => fileURLToPath(new URL(`../../test/support/native/${name}`, import.meta.url));

let endpoint: UdpMediaEndpoint;
const peers: UdpPeer[] = [];
beforeAll(() => loadAddon(), 120_000);
afterEach(async () => {
  for (const peer of peers.splice(0)) await peer.close();
  await endpoint?.close();
  expect(endpoint?.tableSize ?? 0).toBe(0);
});

async function connected() {
  endpoint = await openMediaEndpoint({
    addresses: [LOOPBACK],
    port: 0,
    sockets: new NativeSockets(await loadAddon()),
  });
  const certificate = await freshCertificate();
  const other = await openUdpPeer(endpoint.candidates[0]?.port ?? 0);
  peers.push(other);
  const session = openSession(endpoint, {
    remote: { ...NO_PEER, fingerprints: [certificate.fingerprint], dtlsRole: 'server' },
  });
  await other.check(session.local, { useCandidate: true });
  const dtls = other.dtls('client', certificate);
  await eventually(() => expect([session.log, dtls.keys !== null]).toEqual([['connected'], true]));
  const own = dtls.keys;
  const keys = session.keys;
  if (own === null || keys === null) throw new Error('no keys');
  const sender = new SrtpSender(deriveSessionKeys(own.profile, own.localKey, own.localSalt));
  const inbound = {
    profile: keys.profile,
    bytes: keyBytes(deriveSessionKeys(keys.profile, keys.remoteKey, keys.remoteSalt)),
  };
  return { other, session, sender, inbound };
}

function rtp(sender: SrtpSender, sequence: number, text: string): Buffer {
  const out = Buffer.alloc(12 + text.length + SRTP_OVERHEAD);
  out[0] = 0x80;
  out[1] = 96;
  out.writeUInt16BE(sequence, 2);
  out.writeUInt32BE(7, 8);
  return out.subarray(0, sender.protectRtp(out, 12, Buffer.from(text), 0));
}

test('media comes opened, numbered, and marked when it is refused; other sessions and addresses get nothing', async () => {
  const { other, session, sender, inbound } = await connected();
  const heard: [string, number, number][] = [];
  const opened = session.transport.openInbound?.(inbound, (packet, length, index, wireBytes) => {
    heard.push([packet.toString('latin1', Math.min(12, length), length), index, wireBytes]);
  });
  expect(opened).toBe(true);
  expect(session.transport.openInbound?.(inbound, () => {})).toBe(false);

  const first = rtp(sender, 5, 'five');
  const rtcp = Buffer.alloc(12 + SRTP_OVERHEAD);
  rtcp.writeUInt32BE(0x80c90002, 0);
  const report = rtcp.subarray(0, sender.protectRtcp(rtcp, 12));
  for (const datagram of [first, first, report, rtp(sender, 6, 'six')]) other.send(datagram);
  const stranger = await openUdpPeer(endpoint.candidates[0]?.port ?? 0);
  peers.push(stranger);
  stranger.send(rtp(sender, 7, 'seven'));
  await eventually(() => expect([heard.length, endpoint.counters.unknownAddress]).toEqual([4, 1]));

  expect(heard.map(([, index]) => index)).toEqual([5, INBOUND_REFUSED, INBOUND_RTCP, 6]);
  expect([heard[0]?.[0], heard[3]?.[0]]).toEqual(['five', 'six']);
  expect(heard[0]?.[2]).toBe(first.length);
  expect(session.media).toEqual([]);

  // It follows its peer to another address.
  const moved = await openUdpPeer(endpoint.candidates[0]?.port ?? 0);
  peers.push(moved);
  await moved.check(session.local, { useCandidate: true });
  moved.send(rtp(sender, 8, 'eight'));
  await eventually(() => expect(heard.at(-1)?.slice(0, 2)).toEqual(['eight', 8]));
  session.transport.close();
  other.send(rtp(sender, 9, 'nine'));
  // Besides it, the peer's answer to our goodbye.
  await eventually(() => expect(endpoint.counters.unknownAddress).toBeGreaterThan(1));
  expect(heard).toHaveLength(5);
});

test('a kernel without recvmmsg is read datagram by datagram; a socket that had an error is read on', {
  timeout: 60_000,
}, async () => {
  const directory = await mkdtemp(join(tmpdir(), 'vestibule-kernel-'));
  onTestFinished(() => rm(directory, { recursive: true }));
  await buildAddon();
  await run('c++', ['-x', 'c', '-shared', '-fPIC', support('refusing-kernel.c'), '-o', join(directory, 'kernel.so')]);
  const under = async (refuse: string): Promise<{ received: number; calls: number }> => {
    const env = { ...process.env, LD_PRELOAD: join(directory, 'kernel.so'), REFUSE: refuse };
    return JSON.parse((await run(process.execPath, [support('receive-course.ts')], { env })).stdout);
  };
  const [batches, singly, failed] = [await under('nothing'), await under('receive'), await under('error')];
  expect([batches.received, singly.received, failed.received]).toEqual([100, 100, 100]);
  expect(batches.calls).toBeLessThan(20);
  expect(singly.calls).toBeGreaterThan(100);
});
