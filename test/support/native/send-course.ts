/**
 * For a test that runs it under `refusing-kernel.c`: sends 40 equally long packets to each of three viewers, in as many
 * turns as the argument says, and prints what came and how it was sent.
 */
import { setImmediate } from 'node:timers/promises';
import { loadAddon } from '../../../media-node/forward/native/addon.ts';
import { NativeEngine } from '../../../media-node/forward/native/native-engine.ts';
import { COPIED_COUNT, SourcePacket } from '../../../media-node/forward/source-packet.ts';
import { keyPair } from '../../../media-node/forward/testing/keys.ts';
import { TestPeer } from '../../../media-node/forward/testing/test-peer.ts';
import { UdpBed } from '../../../media-node/transport/testing/udp-bed.ts';

const PACKETS = 40;
const VIEWERS = 3;
const PAYLOAD_BYTES = 500;
const packetsPerTurn = PACKETS / Number(process.argv[2] ?? 1);

await using bed = await UdpBed.open();
const engine = new NativeEngine(await loadAddon());
const group = engine.openGroup();
const viewers = await Promise.all(
  Array.from({ length: VIEWERS }, async (_, index) => {
    const receiver = await bed.receiver();
    const keys = keyPair(index * 10);
    const peer = engine.openPeer(
      keys.node,
      () => {},
      (listener) => listener(bed.route(receiver)),
    );
    const copiedIds = new Uint8Array(COPIED_COUNT);
    const sink = engine.openSink(peer, { ssrc: index, payloadType: 96, rtx: null, midId: 0, mid: '', copiedIds });
    engine.join(group, sink, { fromSequence: 0, sequenceDelta: 0, timestampDelta: 0 });
    return { receiver, client: new TestPeer(keys.peer) };
  }),
);
/** A full socket is tried again until it takes them, or is given up. */
async function allSent(packets: number): Promise<void> {
  const settled = (): number => engine.counters.packets + engine.counters.failed + engine.sending.dropped;
  while (settled() < packets * VIEWERS) await setImmediate();
}
const bytes = Buffer.alloc(12 + PAYLOAD_BYTES);
bytes[0] = 0x80;
const packet = new SourcePacket();
for (let sequence = 0; sequence < PACKETS; sequence++) {
  packet.read(bytes, bytes.length, new Uint8Array(COPIED_COUNT));
  packet.sequence = sequence;
  engine.fanout(group, packet);
  if ((sequence + 1) % packetsPerTurn === 0) await allSent(sequence + 1);
}
const sent = engine.counters.packets / VIEWERS;
const received = await Promise.all(
  viewers.map(async ({ receiver, client }) => {
    for (const datagram of await receiver.got(sent)) client.receive(datagram);
    return client.rtp.map(({ sequence }) => sequence);
  }),
);
console.log(JSON.stringify({ received, counters: engine.counters, sending: engine.sending }));
