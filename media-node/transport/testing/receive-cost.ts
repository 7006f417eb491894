/**
 * What it costs to receive: CPU from the kernel's socket to the session, for viewers' RTCP and a publisher's RTP, with both
 * kinds of sockets. `node media-node/transport/testing/receive-cost.ts` prints it; a benchmark calls `measureReceiveCost`.
 *
 * Datagrams are put into the socket's buffer first and the clock runs while they are read, opened, parsed and acted on.
 * There is no viewer behind the publisher, so that forwarding costs nothing; ICE and DTLS are not in the figures.
 */
import { setImmediate } from 'node:timers/promises';
import { createForwarder } from '../../forward/forwarder.ts';
import { loadAddon } from '../../forward/native/addon.ts';
import { deriveSessionKeys } from '../../forward/srtp/session-keys.ts';
import { SRTP_OVERHEAD, SrtpSender } from '../../forward/srtp/srtp-sender.ts';
import { keyPair } from '../../forward/testing/keys.ts';
import { videoEgress, videoIngress } from '../../forward/testing/plans.ts';
import { RtpSource } from '../../forward/testing/rtp-source.ts';
import { RtcpWriter } from '../../rtcp/write.ts';
import { type DatagramOwner, type DatagramSocket, type DatagramSockets, NO_KEYRING } from '../datagram-socket.ts';
import { NativeSockets } from '../native-socket.ts';
import type { InboundKeys, InboundListener, SrtpProfile } from '../types.ts';
import { portableSockets } from '../udp-socket.ts';

export type ReceivedKind = 'receiver report' | 'nack' | 'pli and remb' | 'rtp';

export interface ReceiveCostOptions {
  sockets: 'portable' | 'native';
  kind: ReceivedKind;
  profile: SrtpProfile;
  packets: number;
}

const LOOPBACK = '127.0.0.1';
const VIEWERS = 40;
/** They fit into any socket buffer. */
const AT_ONCE = 160;
const PAYLOAD_BYTES = 1100;
const SSRC = 0x5000;

/** As a transport: whose datagrams these are, and where they go. */
class Session implements DatagramOwner {
  keyring = NO_KEYRING;
  receive: (datagram: Buffer, nowMs: number) => void = () => {};
  listener: InboundListener = () => {};

  opener(sockets: DatagramSockets): (keys: InboundKeys, listener: InboundListener) => boolean {
    return (keys, listener) => {
      this.keyring = sockets.openKeyring(keys);
      this.listener = listener;
      return this.keyring !== NO_KEYRING;
    };
  }
}

/** Microseconds of CPU (user and system, this thread and the kernel for it) per received packet. */
export async function measureReceiveCost({
  sockets: name,
  kind,
  profile,
  packets,
}: ReceiveCostOptions): Promise<number> {
  const sockets = name === 'native' ? new NativeSockets(await loadAddon()) : portableSockets;
  const senders = new NativeSockets(await loadAddon());
  const forwarder = createForwarder({ keyframeCache: false, keyframeCacheBytes: 0 });
  const socket = await sockets.bind<Session>(LOOPBACK, 4, 0);
  let received = 0;
  socket.onDatagram = (datagram, _address, _port, owner, nowMs) => owner?.receive(datagram, nowMs);
  socket.onOpened = (owner, packet, length, index, wireBytes, nowMs) =>
    owner.listener(packet, length, index, wireBytes, nowMs);

  const sources: { from: DatagramSocket; next: () => Buffer }[] = [];
  for (let i = 0; i < (kind === 'rtp' ? 1 : VIEWERS); i++) {
    const session = new Session();
    const keys = keyPair(2 * i, profile);
    const common = {
      keys: keys.node,
      send: () => {},
      openInbound: session.opener(sockets),
      onAuthenticated: () => {
        received += 1;
      },
    };
    const media =
      kind === 'rtp'
        ? forwarder.openIngress({ ...common, tracks: [videoIngress()] }, 0)
        : forwarder.openEgress({ ...common, tracks: [videoEgress({ ssrc: SSRC })] }, 0);
    session.receive = (datagram, nowMs) => media.receive(datagram, nowMs);
    const from = await senders.bind(LOOPBACK, 4, 0);
    socket.claim(LOOPBACK, from.port, session);
    sources.push({ from, next: kind === 'rtp' ? rtp(keys.peer) : rtcp(kind, keys.peer, i) });
  }

  let cpuUs = 0;
  for (let sent = 0; sent < packets; ) {
    const goal = sent + AT_ONCE;
    for (; sent < goal; sent++) {
      const { from, next } = sources[sent % sources.length] as (typeof sources)[number];
      from.send(next(), LOOPBACK, socket.port);
    }
    const start = process.threadCpuUsage();
    // All of it is there already: one turn, or few.
    for (let turns = 0; received < goal && turns < 1_000; turns++) await setImmediate();
    const { user, system } = process.threadCpuUsage(start);
    cpuUs += user + system;
    if (received < goal) throw new Error(`${goal - received} of ${goal} packets did not arrive`);
  }
  forwarder.close();
  await socket.close();
  for (const { from } of sources) await from.close();
  senders.close();
  sockets.close();
  return cpuUs / received;
}

function rtp(peer: Parameters<typeof RtpSource.sender>[0]): () => Buffer {
  const source = new RtpSource({ ssrc: 0x1000, payloadType: 96 }, RtpSource.sender(peer));
  const waiting: Buffer[] = [];
  return () => {
    if (waiting.length === 0) {
      waiting.push(...source.frame(source.frames === 0, 10, PAYLOAD_BYTES).map(({ datagram }) => datagram));
      source.timestamp += 3000;
    }
    return waiting.shift() ?? Buffer.alloc(0);
  };
}

function rtcp(kind: ReceivedKind, peer: { profile: SrtpProfile; localKey: Buffer; localSalt: Buffer }, viewer: number) {
  const srtp = new SrtpSender(deriveSessionKeys(peer.profile, peer.localKey, peer.localSalt));
  const writer = new RtcpWriter(600, SRTP_OVERHEAD);
  const block = {
    ssrc: SSRC,
    fractionLost: 0,
    cumulativeLost: 0,
    highestSequence: 9,
    jitter: 5,
    lastSr: 0,
    delaySinceLastSr: 0,
  };
  const own = 0x7000 + viewer;
  return (): Buffer => {
    writer.reset();
    writer.receiverReport(own, [block, { ...block, ssrc: SSRC + 7 }]);
    if (kind === 'nack') writer.nack(own, SSRC, [10, 11, 13], 3);
    if (kind === 'pli and remb') {
      writer.pli(own, SSRC);
      writer.remb(own, 2_000_000, [SSRC]);
    }
    return Buffer.from(writer.buffer.subarray(0, srtp.protectRtcp(writer.buffer, writer.length)));
  };
}

const KINDS: ReceivedKind[] = ['receiver report', 'nack', 'pli and remb', 'rtp'];
if (process.argv[1] === import.meta.filename) {
  const packets = Number(process.argv[2] ?? 16_000);
  for (const profile of ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'] as const) {
    for (const kind of KINDS) {
      const costs: string[] = [];
      for (const sockets of ['portable', 'native'] as const) {
        // Once to warm up.
        await measureReceiveCost({ sockets, kind, profile, packets: packets / 4 });
        costs.push(`${sockets} ${(await measureReceiveCost({ sockets, kind, profile, packets })).toFixed(2)} µs`);
      }
      console.log(`${kind}, ${profile}: ${costs.join(', ')}`);
    }
  }
}
