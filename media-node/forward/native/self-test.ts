/** Whether the addon does on this machine what it must: tried before it is trusted with anybody's packets. */
import type { SrtpKeys, SrtpProfile } from '../../transport/types.ts';
import type { FanoutEngine } from '../fanout-engine.ts';
import { PortableEngine } from '../portable-engine.ts';
import { COPIED_COUNT, SourcePacket } from '../source-packet.ts';
import { SRTP_OVERHEAD } from '../srtp/srtp-sender.ts';
import type { Addon } from './addon.ts';
import { NativeEngine } from './native-engine.ts';

const PROFILES: readonly SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];
const SALT_BYTES = { AEAD_AES_128_GCM: 12, AES_CM_128_HMAC_SHA1_80: 14 } as const;
const RTCP_BYTES = 28;
const PAYLOAD_BYTES = 333;
const HEADER_BYTES = 12;
/** Carries the rollover counter. */
const EXTENDED_SEQUENCE = 70_000;

/**
 * Protects packets with both engines, and lets the kernel carry datagrams to itself.
 *
 * @throws {Error} that says what is wrong, as the end of a sentence
 */
export function testAddon(addon: Addon): { cuts: boolean } {
  for (const profile of PROFILES) {
    const [native, portable] = [
      protectedBy(new NativeEngine(addon), profile),
      protectedBy(new PortableEngine(), profile),
    ];
    if (native.join() !== portable.join()) throw new Error(`it protects wrongly with ${profile}`);
  }
  return { cuts: addon.create().tryLoopback() === 1 };
}

/** A packet, its repetition and a report, as they would leave. */
function protectedBy(engine: FanoutEngine, profile: SrtpProfile): string[] {
  const datagrams: string[] = [];
  const key = Buffer.alloc(16, 0x5a);
  const salt = Buffer.alloc(SALT_BYTES[profile], 0xa5);
  const keys: SrtpKeys = { profile, localKey: key, localSalt: salt, remoteKey: key, remoteSalt: salt };
  const peer = engine.openPeer(keys, (datagram) => datagrams.push(datagram.toString('hex')));
  const copiedIds = new Uint8Array(COPIED_COUNT);
  const rtx = { ssrc: 2, payloadType: 97 };
  const sink = engine.openSink(peer, { ssrc: 1, payloadType: 96, rtx, midId: 1, mid: 'v', copiedIds });
  const bytes = Buffer.alloc(HEADER_BYTES + PAYLOAD_BYTES, 0x33);
  bytes[0] = 0x80;
  const packet = new SourcePacket();
  packet.read(bytes, bytes.length, copiedIds);
  engine.sendOne(sink, packet, EXTENDED_SEQUENCE, 1);
  engine.sendRtx(sink, packet, EXTENDED_SEQUENCE, 1);
  const report = Buffer.alloc(RTCP_BYTES + SRTP_OVERHEAD);
  report.set([0x80, 200, 0, 6]);
  engine.sendRtcp(peer, report, RTCP_BYTES);
  engine.closeSink(sink);
  engine.closePeer(peer);
  return datagrams;
}
