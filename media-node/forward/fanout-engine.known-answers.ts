/**
 * Part of the contract of every `FanoutEngine`: datagrams that another implementation made of the same keys and packets.
 * They are those of libsrtp's own tests (test/srtp_driver.c).
 */
import { expect, it } from 'vitest';
import type { SrtpKeys } from '../transport/types.ts';
import type { FanoutEngine } from './fanout-engine.ts';
import { COPIED_COUNT, SourcePacket } from './source-packet.ts';
import { SRTP_OVERHEAD } from './srtp/srtp-sender.ts';

interface KnownAnswer {
  profile: SrtpKeys['profile'];
  key: string;
  salt: string;
  rtp: string;
  rtcp: string;
}

const PLAIN_RTP = `800f1234decafbadcafebabe${'ab'.repeat(16)}`;
const PLAIN_RTCP = `81c8000bcafebabe${'ab'.repeat(16)}`;
const KNOWN: KnownAnswer[] = [
  {
    profile: 'AES_CM_128_HMAC_SHA1_80',
    key: 'e1f97a0d3e018be0d64fa32c06de4139',
    salt: '0ec675ad498afeebb6960b3aabe6',
    rtp: '800f1234decafbadcafebabe4e55dc4ce79978d88ca4d215949d2402b78d6acc99ea179b8dbb',
    rtcp: '81c8000bcafebabe7128035be487b9bdbef89041f977a5a880000001993e08cd54d6c1230798',
  },
  {
    profile: 'AEAD_AES_128_GCM',
    key: '000102030405060708090a0b0c0d0e0f',
    salt: 'a0a1a2a3a4a5a6a7a8a9aaab',
    rtp: '800f1234decafbadcafebabec5002ede04cfdd2eb91159e0880aa06ed2976826f796b201df3131a127e8a392',
    rtcp: '81c8000bcafebabec98b8b5df0392a55852b6c21ac8e7025c52c6fbea2b3b446ea31123ba88ce61e80000001',
  },
];

/** Called by `describeFanoutEngine`. */
export function describeKnownAnswers(name: string, create: () => FanoutEngine): void {
  it.each(KNOWN)(`${name} engine: protects as libsrtp does ($profile)`, ({ profile, key, salt, rtp, rtcp }) => {
    const engine = create();
    const [localKey, localSalt] = [Buffer.from(key, 'hex'), Buffer.from(salt, 'hex')];
    const keys: SrtpKeys = { profile, localKey, localSalt, remoteKey: localKey, remoteSalt: localSalt };
    const sent: string[] = [];
    const peer = engine.openPeer(keys, (datagram) => void sent.push(datagram.toString('hex')));
    const copiedIds = new Uint8Array(COPIED_COUNT);
    const sink = engine.openSink(peer, { ssrc: 0xcafebabe, payloadType: 15, rtx: null, midId: 0, mid: '', copiedIds });
    const packet = new SourcePacket();
    const plain = Buffer.from(PLAIN_RTP, 'hex');
    packet.read(plain, plain.length, copiedIds);
    engine.sendOne(sink, packet, 0x1234, 0xdecafbad);
    const report = Buffer.from(PLAIN_RTCP, 'hex');
    engine.sendRtcp(peer, Buffer.concat([report, Buffer.alloc(SRTP_OVERHEAD)]), report.length);
    expect(sent).toEqual([rtp, rtcp]);
  });
}
