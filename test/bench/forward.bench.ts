/**
 * CPU per forwarded packet of the forwarder alone: `node test/bench/forward.bench.ts [viewers] [packets]`.
 *
 * One publisher's protected video packets (1200 bytes) go in, in frames of ten, one protected packet per viewer comes
 * out: by the portable engine once into nothing and once into a real UDP socket on loopback (whose receiver only lets
 * the kernel drop), by the native engine into the same. Opening, ring, statistics, reports and ticks are in the figure;
 * ICE, DTLS and the socket's receive side are not.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { setImmediate } from 'node:timers/promises';
import type { FanoutEngine } from '../../media-node/forward/fanout-engine.ts';
import { createForwarder } from '../../media-node/forward/forwarder.ts';
import { loadAddon } from '../../media-node/forward/native/addon.ts';
import { NativeEngine } from '../../media-node/forward/native/native-engine.ts';
import { PortableEngine } from '../../media-node/forward/portable-engine.ts';
import { keyPair } from '../../media-node/forward/testing/keys.ts';
import { videoEgress, videoIngress } from '../../media-node/forward/testing/plans.ts';
import { RtpSource } from '../../media-node/forward/testing/rtp-source.ts';
import type { EgressMediaOptions } from '../../media-node/forward/types.ts';
import type { SrtpProfile } from '../../media-node/transport/types.ts';
import { descriptorOf } from '../../media-node/transport/udp-socket.ts';

const [viewers = 50, packets = 2000] = process.argv.slice(2).map(Number);
const PAYLOAD_BYTES = 1160;
const PACKETS_PER_FRAME = 10;
const PACKET_MS = 2.8; // 355 packets/s

type Way = Pick<EgressMediaOptions, 'send' | 'watchRoute'>;

async function measure(profile: SrtpProfile, way: Way, engine: FanoutEngine = new PortableEngine()): Promise<number> {
  const forwarder = createForwarder({ keyframeCache: true, keyframeCacheBytes: 4_000_000 }, { engine });
  const keys = keyPair(0, profile);
  let nowMs = 0;
  const ingress = forwarder.openIngress(
    { tracks: [videoIngress()], keys: keys.node, send: () => {}, onAuthenticated: () => {} },
    nowMs,
  );
  const [track] = ingress.tracks;
  if (track === undefined) throw new Error('no track');
  for (let i = 1; i <= viewers; i++) {
    const egress = forwarder.openEgress(
      { tracks: [videoEgress({ ssrc: i })], keys: keyPair(i * 2, profile).node, ...way, onAuthenticated: () => {} },
      nowMs,
    );
    egress.attach('v', track, nowMs);
  }
  const source = new RtpSource({ ssrc: 0x1000, payloadType: 96 }, RtpSource.sender(keys.peer));
  const datagrams: Buffer[] = [];
  while (datagrams.length < packets) {
    for (const { datagram } of source.frame(datagrams.length % 600 === 0, PACKETS_PER_FRAME, PAYLOAD_BYTES)) {
      datagrams.push(datagram);
    }
    source.timestamp += 3000;
  }
  const start = process.cpuUsage();
  let nextTickMs = 0;
  for (const [index, datagram] of datagrams.entries()) {
    if (index % PACKETS_PER_FRAME === 0) await setImmediate();
    nowMs += PACKET_MS;
    ingress.receive(datagram, nowMs);
    if (nowMs < nextTickMs) continue;
    forwarder.tick(nowMs);
    nextTickMs = nowMs + 10;
  }
  // The native engine sends in slices.
  for (let turns = 0; turns < 1000 && forwarder.counters.packetsOut < packets * viewers; turns++) await setImmediate();
  const { user, system } = process.cpuUsage(start);
  const sent = forwarder.counters.packetsOut;
  forwarder.close();
  return (user + system) / sent;
}

async function socketWay(): Promise<Required<Way> & { close(): void }> {
  const [out, sink] = [createSocket('udp4'), createSocket({ type: 'udp4', recvBufferSize: 4096 })];
  const bound = (socket: Socket) => {
    socket.bind(0, '127.0.0.1');
    return once(socket, 'listening');
  };
  await Promise.all([bound(out), bound(sink)]);
  const { port } = sink.address();
  return {
    send: (datagram) => out.send(datagram, port, '127.0.0.1'),
    watchRoute: (listener) => {
      const fd = descriptorOf(out);
      listener(fd === null ? null : { fd, address: Buffer.from([127, 0, 0, 1]), zone: '', port });
    },
    close: () => {
      out.close();
      sink.close();
    },
  };
}

const profiles: SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];
const addon = await loadAddon();
for (const profile of profiles) {
  await measure(profile, { send: () => {} }); // warms the code up
  const nothing = await measure(profile, { send: () => {} });
  const { close, ...way } = await socketWay();
  const udp = await measure(profile, { send: way.send });
  const engine = new NativeEngine(addon);
  const native = await measure(profile, way, engine);
  close();
  const figures = [
    `portable ${nothing.toFixed(2)}`,
    `${udp.toFixed(2)} with dgram send`,
    `native ${native.toFixed(2)}`,
  ];
  console.log(`${profile}, ${viewers} viewers, us per forwarded packet: ${figures.join(', ')}`);
  console.log(`  native: ${JSON.stringify({ ...engine.counters, ...engine.sending })}`);
}
