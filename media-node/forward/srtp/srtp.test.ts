import { createCipheriv, createHmac, createSecretKey, randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { SrtcpSession, SrtpSession, RtpHeader as WeriftHeader } from 'werift';
import { fc } from '../../../shared/test-support/properties.ts';
import type { SrtpProfile } from '../../transport/types.ts';
import { parseRtpHeader, RtpHeader } from '../rtp-header.ts';
import { writeCmRtpIv } from './initial-vectors.ts';
import { deriveKey, deriveSessionKeys, type SessionKeys } from './session-keys.ts';
import { MAX_SSRCS, SrtpReceiver } from './srtp-receiver.ts';
import { SRTP_OVERHEAD, SrtpSender } from './srtp-sender.ts';

const PROFILES: SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];
const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const saltBytes = (profile: SrtpProfile) => (profile === 'AEAD_AES_128_GCM' ? 12 : 14);

function rtpPacket(sequence: number, ssrc = 0x11223344, payload: Buffer = Buffer.from('payload'), timestamp = 90_000) {
  const packet = Buffer.alloc(12 + payload.length);
  packet[0] = 0x80;
  packet[1] = 96;
  packet.writeUInt16BE(sequence & 0xffff, 2);
  packet.writeUInt32BE(timestamp, 4);
  packet.writeUInt32BE(ssrc, 8);
  payload.copy(packet, 12);
  return packet;
}

/** A receiver report of `ssrc` with one block of zeros. */
function rtcpPacket(ssrc = 0x11223344): Buffer {
  const packet = Buffer.alloc(32);
  packet.writeUInt32BE(0x81c90007, 0);
  packet.writeUInt32BE(ssrc, 4);
  return packet;
}

function session(profile: SrtpProfile) {
  const key = randomBytes(16);
  const salt = randomBytes(saltBytes(profile));
  const keys = deriveSessionKeys(profile, key, salt);
  const sender = new SrtpSender(keys);
  const receiver = new SrtpReceiver(keys);
  const header = new RtpHeader();
  const out = Buffer.alloc(2048);
  return {
    key,
    salt,
    sender,
    receiver,
    protect(packet: Buffer, roc = 0): Buffer {
      parseRtpHeader(packet, packet.length, header);
      const buffer = Buffer.alloc(packet.length + SRTP_OVERHEAD);
      packet.copy(buffer, 0, 0, header.length);
      const length = sender.protectRtp(buffer, header.length, packet.subarray(header.length), roc);
      return buffer.subarray(0, length);
    },
    open(packet: Buffer): Buffer | null {
      if (!parseRtpHeader(packet, packet.length, header)) return null;
      const length = receiver.unprotectRtp(packet, header, out);
      return length < 0 ? null : Buffer.from(out.subarray(0, length));
    },
    protectRtcp(packet: Buffer): Buffer {
      const buffer = Buffer.alloc(packet.length + SRTP_OVERHEAD);
      packet.copy(buffer);
      return buffer.subarray(0, sender.protectRtcp(buffer, packet.length));
    },
    openRtcp(packet: Buffer): Buffer | null {
      const length = receiver.unprotectRtcp(packet, out);
      return length < 0 ? null : Buffer.from(out.subarray(0, length));
    },
  };
}

describe('known answers', () => {
  it('AES-CM keystream (RFC 3711 B.2)', () => {
    const iv = Buffer.alloc(16);
    writeCmRtpIv(iv, hex('F0F1F2F3F4F5F6F7F8F9FAFBFCFD'), 0, 0, 0);
    const stream = createCipheriv('aes-128-ctr', createSecretKey(hex('2B7E151628AED2A6ABF7158809CF4F3C')), iv).update(
      Buffer.alloc(48),
    );
    expect(stream.toString('hex')).toBe(
      'e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0',
    );
  });

  it('key derivation (RFC 3711 B.3)', () => {
    const master = createSecretKey(hex('E1F97A0D3E018BE0D64FA32C06DE4139'));
    const salt = hex('0EC675AD498AFEEBB6960B3AABE6');
    expect(deriveKey(master, salt, 0, 16).toString('hex')).toBe('c61e7a93744f39ee10734afe3ff7a087');
    expect(deriveKey(master, salt, 2, 14).toString('hex')).toBe('30cbbc08863d8c85d49db34a9ae1');
    expect(deriveKey(master, salt, 1, 94).toString('hex')).toBe(
      'cebe321f6ff7716b6fd4ab49af256a156d38baa48f0a0acf3c34e2359e6cdbcee049646c43d9327ad175578ef7227098' +
        '6371c10c9a369ac2f94a8c5fbcdddc256d6e919a48b610ef17c2041e474035766b68642c59bbfc2f34db60dbdfb2',
    );
  });

  /** RFC 7714 §16 and §17 give session keys, not master keys. */
  const quidProQuo: SessionKeys = (() => {
    const keys = {
      cipherKey: createSecretKey(hex('000102030405060708090a0b0c0d0e0f')),
      salt: hex('517569642070726f2071756f'),
      authKey: null,
    };
    return { profile: 'AEAD_AES_128_GCM', rtp: keys, rtcp: keys };
  })();

  it('AEAD_AES_128_GCM SRTP (RFC 7714 §16.1)', () => {
    const plain = hex(`8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
      69736120 696e2070 61727465 73207472 6573`);
    const out = Buffer.alloc(100);
    plain.copy(out, 0, 0, 12);
    const length = new SrtpSender(quidProQuo).protectRtp(out, 12, plain.subarray(12), 0);
    const protectedHex = hex(`8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
      0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce`);
    expect(out.subarray(0, length).toString('hex')).toBe(protectedHex.toString('hex'));
  });

  it('AEAD_AES_128_GCM SRTCP (RFC 7714 §17.1)', () => {
    const plain = hex(`81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
      deadbeef deadbeef deadbeef deadbeef deadbeef`);
    const out = Buffer.alloc(100);
    plain.copy(out);
    const length = new SrtpSender(quidProQuo).protectRtcpAt(out, plain.length, 0x5d4);
    const protectedHex = hex(`81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
      c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4`);
    expect(out.subarray(0, length).toString('hex')).toBe(protectedHex.toString('hex'));
    const opened = Buffer.alloc(100);
    const openedLength = new SrtpReceiver(quidProQuo).unprotectRtcp(out.subarray(0, length), opened);
    expect(opened.subarray(0, openedLength).equals(plain)).toBe(true);
  });

  it('refuses keys of the wrong size', () => {
    expect(() => deriveSessionKeys('AEAD_AES_128_GCM', Buffer.alloc(16), Buffer.alloc(14))).toThrow(RangeError);
  });
});

describe.each(PROFILES)('%s', (profile) => {
  it('opens what it protected, any size', () => {
    const s = session(profile);
    let sequence = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 1200 }), (bytes) => {
        const packet = rtpPacket(sequence++, 7, Buffer.from(bytes));
        expect(s.open(s.protect(packet))?.equals(packet)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it('refuses a replay and takes reordered packets once', () => {
    const s = session(profile);
    const packets = [1, 2, 3, 4].map((sequence) => s.protect(rtpPacket(sequence)));
    const [one, two, three, four] = packets as [Buffer, Buffer, Buffer, Buffer];
    expect([one, four, two, two, three, four, one].map((packet) => s.open(packet) !== null)).toEqual([
      true,
      true,
      true,
      false,
      true,
      false,
      false,
    ]);
  });

  it('refuses packets older than the window', () => {
    const s = session(profile);
    const [older, old] = [s.protect(rtpPacket(99)), s.protect(rtpPacket(100))];
    expect(s.open(s.protect(rtpPacket(1123)))).not.toBeNull();
    expect(s.open(older)).toBeNull();
    expect(s.open(old)).not.toBeNull();
    expect(s.open(old)).toBeNull();
  });

  it('follows the rollover counter through wraps and reordering around them', () => {
    const s = session(profile);
    const order = [65534, 65536, 65535, 65537, 65533];
    for (const extended of order) {
      expect(s.open(s.protect(rtpPacket(extended), Math.floor(extended / 65536)))).not.toBeNull();
      expect(s.receiver.index).toBe(extended);
    }
    for (let extended = 70_000; extended < 400_000; extended += 20_000) {
      expect(s.open(s.protect(rtpPacket(extended), Math.floor(extended / 65536)))).not.toBeNull();
      expect(s.receiver.index).toBe(extended);
    }
  });

  it('a tampered packet is refused and changes nothing', () => {
    const s = session(profile);
    s.open(s.protect(rtpPacket(10)));
    const good = s.protect(rtpPacket(11));
    for (let at = 0; at < good.length; at++) {
      const bad = Buffer.from(good);
      bad[at] = (bad[at] as number) ^ 0x04;
      expect(s.open(bad)).toBeNull();
    }
    expect(s.open(good.subarray(0, good.length - 1))).toBeNull();
    expect(s.receiver.ssrcCount).toBe(1);
    expect(s.open(good)).not.toBeNull();
  });

  it('keeps a bounded number of SSRCs, the latest ones', () => {
    const s = session(profile);
    for (let ssrc = 1; ssrc <= MAX_SSRCS + 20; ssrc++) expect(s.open(s.protect(rtpPacket(1, ssrc)))).not.toBeNull();
    expect(s.receiver.ssrcCount).toBe(MAX_SSRCS);
    expect(s.open(s.protect(rtpPacket(1, MAX_SSRCS + 20)))).toBeNull();
  });

  it('RTCP: round trip, replay, tamper, truncation', () => {
    const s = session(profile);
    const plain = rtcpPacket();
    const first = s.protectRtcp(plain);
    const second = s.protectRtcp(plain);
    expect(first.equals(second)).toBe(false);
    expect(s.openRtcp(second)?.equals(plain)).toBe(true);
    expect(s.openRtcp(first)?.equals(plain)).toBe(true);
    expect(s.openRtcp(first)).toBeNull();
    const third = s.protectRtcp(plain);
    for (let at = 0; at < third.length; at++) {
      const bad = Buffer.from(third);
      bad[at] = (bad[at] as number) ^ 0x10;
      expect(s.openRtcp(bad)).toBeNull();
    }
    for (let length = 0; length < third.length; length++) expect(s.openRtcp(third.subarray(0, length))).toBeNull();
    expect(s.openRtcp(third)?.equals(plain)).toBe(true);
  });

  it('speaks with werift in both directions', () => {
    const s = session(profile);
    const keys = {
      localMasterKey: s.key,
      localMasterSalt: s.salt,
      remoteMasterKey: s.key,
      remoteMasterSalt: s.salt,
    };
    const config = { keys, profile: profile === 'AEAD_AES_128_GCM' ? 7 : 1 };
    const rtp = new SrtpSession(config);
    const rtcp = new SrtcpSession(config);
    const packet = rtpPacket(500, 77, randomBytes(900));
    expect(rtp.decrypt(s.protect(packet)).equals(packet)).toBe(true);
    const next = rtpPacket(501, 77, randomBytes(300));
    const theirs = rtp.encrypt(next.subarray(12), WeriftHeader.deSerialize(next));
    expect(s.open(theirs)?.equals(next)).toBe(true);
    const report = rtcpPacket(77);
    expect(rtcp.decrypt(s.protectRtcp(report)).equals(report)).toBe(true);
    expect(s.openRtcp(rtcp.encrypt(report))?.equals(report)).toBe(true);
  });
});

describe('SrtpReceiver', () => {
  it('opens authenticated but unencrypted RTCP (E flag clear)', () => {
    const keys = deriveSessionKeys('AES_CM_128_HMAC_SHA1_80', randomBytes(16), randomBytes(14));
    const plain = rtcpPacket();
    const buffer = Buffer.alloc(64);
    plain.copy(buffer);
    // Our sender always encrypts, so this one is signed by hand.
    buffer.writeUInt32BE(5, plain.length);
    const signed = buffer.subarray(0, plain.length + 4);
    const tag = createHmac('sha1', keys.rtcp.authKey ?? '')
      .update(signed)
      .digest();
    const packet = Buffer.concat([signed, tag.subarray(0, 10)]);
    const out = Buffer.alloc(100);
    const length = new SrtpReceiver(keys).unprotectRtcp(packet, out);
    expect(out.subarray(0, length).equals(plain)).toBe(true);
  });
});
