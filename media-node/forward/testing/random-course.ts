/** Random packets and events for an engine, reproducible: what one engine does with them, another must do too. */
import type { SrtpProfile } from '../../transport/types.ts';
import type { FanoutEngine, WatchRoute } from '../fanout-engine.ts';
import { MAX_DATAGRAM_BYTES } from '../rtcp-mux.ts';
import { COPIED_COUNT, SourcePacket } from '../source-packet.ts';
import { SRTP_OVERHEAD } from '../srtp/srtp-sender.ts';
import { StoredBatch } from '../stored-packets.ts';
import { keyPair, seededRandom } from './keys.ts';

const PROFILES: SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];
const SOURCE_IDS = Uint8Array.from({ length: COPIED_COUNT }, (_, i) => i + 1);

/** Holds all that a course puts into it. */
const LOG_BYTES = 1024 * 1024;
/** Of the log that have been written before. */
const LAPS = 3;

export type Random = (below: number) => number;

export function randomOf(seed: number): Random {
  const random = seededRandom(seed);
  return (below) => Math.floor(random() * below);
}

function randomBytes(random: Random, length: number): Buffer {
  return Buffer.from(Array.from({ length }, () => random(256)));
}

/** Any packet that `SourcePacket` reads, with extensions of both kinds, padding, and a length like a real one's. */
export function randomPacket(random: Random, sequence: number): SourcePacket {
  const twoByte = random(4) === 0;
  const elements: Buffer[] = [];
  for (let id = 1; id <= 8; id++) {
    if (random(2) === 0) continue;
    const data = randomBytes(random, twoByte ? random(256) : 1 + random(16));
    elements.push(Buffer.from(twoByte ? [id, data.length] : [(id << 4) | (data.length - 1)]), data);
  }
  const body = Buffer.concat(elements);
  const block = Buffer.alloc(elements.length === 0 ? 0 : 4 + Math.ceil(body.length / 4) * 4);
  if (block.length > 0) {
    block.writeUInt16BE(twoByte ? 0x1000 : 0xbede, 0);
    block.writeUInt16BE(block.length / 4 - 1, 2);
    body.copy(block, 4);
  }
  const padding = random(5) === 0 ? 1 + random(20) : 0;
  const payload = randomBytes(random, random(6) === 0 ? 0 : random(3) === 0 ? 900 : random(1200));
  const header = Buffer.alloc(12);
  header[0] = 0x80 | (padding > 0 ? 0x20 : 0) | (block.length > 0 ? 0x10 : 0);
  header[1] = (random(2) << 7) | 96;
  header.writeUInt16BE(sequence % 0x10000, 2);
  header.writeUInt32BE(random(2 ** 32), 4);
  const tail = Buffer.alloc(padding);
  if (padding > 0) tail[padding - 1] = padding;
  const bytes = Buffer.concat([header, block, payload, tail]);
  const packet = new SourcePacket();
  if (!packet.read(bytes, bytes.length, SOURCE_IDS)) throw new Error('not a packet');
  packet.sequence = sequence;
  return packet;
}

export interface Way {
  send(datagram: Buffer): void;
  watchRoute?: WatchRoute;
}

/** A random course of events: the same for every engine that is given the same seed. */
export function drive(engine: FanoutEngine, seed: number, ways: readonly Way[]): void {
  const random = randomOf(seed);
  const peers = ways.map(({ send, watchRoute }, i) => {
    const keys = i === 2 ? null : keyPair(seed + i, PROFILES[i % 2]).node;
    return engine.openPeer(keys, send, watchRoute);
  });
  const sinks = peers.map((peer, i) => {
    const midId = [0, 3, 14, 15][random(4)] ?? 0;
    return engine.openSink(peer, {
      ssrc: random(2 ** 32),
      payloadType: random(128),
      rtx: i === 1 ? null : { ssrc: random(2 ** 32), payloadType: random(128) },
      midId,
      mid: 'm'.repeat(random(20)),
      copiedIds: Uint8Array.from({ length: COPIED_COUNT }, (_, id) => (random(3) === 0 ? 0 : id + 4 + random(2) * 8)),
    });
  });
  const groups = [true, false].map((framed) => {
    const group = engine.openGroup({ sourceIds: SOURCE_IDS, framed });
    return { group, log: engine.openLog(group, LOG_BYTES), written: 0 };
  });
  let sequence = 65_400 + random(200);
  for (let event = 0; event < 150; event++) {
    const sink = sinks[random(sinks.length)] ?? 0;
    const place = groups[random(2)];
    if (place === undefined) continue;
    const { group, log } = place;
    const kind = random(12);
    if (kind === 0) engine.leave(sink);
    else if (kind < 3) {
      const [sequenceDelta, timestampDelta] = [random(200_000), random(2 ** 32)];
      engine.join(group, sink, { fromSequence: sequence + random(4), sequenceDelta, timestampDelta });
    } else if (kind === 3) {
      const report = Buffer.concat([
        Buffer.from([0x80, 200, 0, 6]),
        randomBytes(random, 24),
        Buffer.alloc(SRTP_OVERHEAD),
      ]);
      engine.sendRtcp(peers[random(peers.length)] ?? 0, report, 28);
    } else {
      const packet = randomPacket(random, sequence++);
      if (kind === 4) engine.sendRtx(sink, packet, random(2 ** 32), random(2 ** 32));
      else if (kind === 5) engine.sendOne(sink, packet, random(2 ** 40), random(2 ** 34));
      else if (kind < 9 && packet.length <= MAX_DATAGRAM_BYTES) {
        packet.bytes.copy(log, place.written);
        packet.logStart = place.written + log.length * LAPS;
        const batch = new StoredBatch();
        batch.add(packet.logStart, packet.length, random(2 ** 40), random(2 ** 34));
        if (kind === 6) engine.sendStored(sink, group, batch, random(2) === 0);
        else engine.fanout(group, packet);
        place.written += packet.length;
      } else engine.fanout(group, packet);
    }
  }
}
