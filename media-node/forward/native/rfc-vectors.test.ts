/**
 * The addon against the test vectors of RFC 3711 and RFC 7714. They begin with session keys, so they go in below the
 * engine, where the addon takes such.
 */
import { createHmac } from 'node:crypto';
import { expect, it } from 'vitest';
import { COPIED_COUNT, SourcePacket } from '../source-packet.ts';
import { loadAddon } from './addon.ts';
import { sessionKeyBytes } from './native-keys.ts';
import { DESCRIPTOR_LENGTH, describePacket } from './packet-descriptor.ts';
import { COLUMN, COLUMNS, KIND } from './receive-methods.ts';

const GCM = 1;
const CM = 2;
const MAX_OUTGOING_BYTES = 4096;
const HEADER_BYTES = 12;
const TAG_BYTES = { gcm: 16, cm: 10 };
const hex = (text: string): Buffer => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const addon = await loadAddon();

/** Protects an RTP packet without extensions as the peer's first one; the plain one's own numbers are kept. */
function protectRtp(profile: number, keys: Buffer, plain: Buffer): Buffer {
  const native = addon.create();
  const ids = new Uint8Array(COPIED_COUNT);
  const peer = native.openPeer(profile, keys);
  const [ssrc, payloadType] = [plain.readUInt32BE(8), plain.readUInt8(1) & 0x7f];
  const sink = native.openSink(peer, ssrc, payloadType, 0, 255, 0, Buffer.alloc(0), ids);
  const packet = new SourcePacket();
  packet.read(plain, plain.length, ids);
  const descriptor = new Float64Array(DESCRIPTOR_LENGTH);
  describePacket(packet, descriptor);
  const out = Buffer.alloc(MAX_OUTGOING_BYTES);
  const length = native.sendOne(sink, plain, descriptor, plain.readUInt16BE(2), plain.readUInt32BE(4), out);
  return out.subarray(0, length);
}

/** Protects the compound as the peer's SRTCP packet with this index. */
function protectRtcp(profile: number, keys: Buffer, plain: Buffer, index: number): Buffer {
  const native = addon.create();
  const peer = native.openPeer(profile, keys);
  const out = Buffer.alloc(MAX_OUTGOING_BYTES);
  let length = 0;
  for (let i = 1; i <= index; i++) {
    plain.copy(out);
    length = native.sendRtcp(peer, out, plain.length, true);
  }
  return out.subarray(0, length);
}

function open(profile: number, keys: Buffer, datagram: Buffer): { kind: number; plain: Buffer } {
  const receiver = addon.createReceiver();
  const columns = new Float64Array(COLUMNS);
  const bytes = Buffer.from(datagram);
  receiver.openMedia(receiver.openOpener(profile, keys), bytes, bytes.length, columns);
  return { kind: columns[COLUMN.kind] ?? -1, plain: bytes.subarray(0, columns[COLUMN.length]) };
}

/** RFC 7714 §16 and §17 use one key and salt for everything. */
const GCM_KEYS = (() => {
  const half = hex('000102030405060708090a0b0c0d0e0f 517569642070726f2071756f');
  return Buffer.concat([half, half]);
})();

const GCM_RTP = {
  plain: hex(`8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976
    69736120 696e2070 61727465 73207472 6573`),
  sealed: hex(`8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5
    0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce`),
};
const GCM_RTCP = {
  plain: hex(`81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61
    deadbeef deadbeef deadbeef deadbeef deadbeef`),
  sealed: hex(`81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d
    c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4`),
  index: 0x5d4,
};

it('AEAD_AES_128_GCM: SRTP (RFC 7714 §16.1)', () => {
  const { plain, sealed } = GCM_RTP;
  expect(protectRtp(GCM, GCM_KEYS, plain).toString('hex')).toBe(sealed.toString('hex'));
  expect(open(GCM, GCM_KEYS, sealed)).toEqual({ kind: KIND.rtp, plain });
});

it('AEAD_AES_128_GCM: SRTCP (RFC 7714 §17.1)', () => {
  const { plain, sealed, index } = GCM_RTCP;
  expect(protectRtcp(GCM, GCM_KEYS, plain, index).toString('hex')).toBe(sealed.toString('hex'));
  expect(open(GCM, GCM_KEYS, sealed)).toEqual({ kind: KIND.rtcp, plain });
});

it.each([
  ['SRTP', GCM_RTP.sealed],
  ['SRTCP', GCM_RTCP.sealed],
])('AEAD_AES_128_GCM: %s with any bit changed is refused', (_name, sealed) => {
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const changed = Buffer.from(sealed);
    changed.writeUInt8(changed.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    expect(open(GCM, GCM_KEYS, changed).kind, `bit ${bit}`).toBe(KIND.refused);
  }
});

it('AES-CM: the key stream (RFC 3711 B.2), and the tag over packet and rollover counter (§4.2)', () => {
  const authKey = Buffer.alloc(20, 0x0b);
  const half = Buffer.concat([hex('2B7E151628AED2A6ABF7158809CF4F3C F0F1F2F3F4F5F6F7F8F9FAFBFCFD'), authKey]);
  const keys = Buffer.concat([half, half]);
  // What encrypts zeros shows the key stream: SSRC, sequence number and rollover counter are 0 there, too.
  const plain = Buffer.alloc(HEADER_BYTES + 48);
  plain[0] = 0x80;
  const sealed = protectRtp(CM, keys, plain);
  const end = sealed.length - TAG_BYTES.cm;
  expect(sealed.toString('hex', HEADER_BYTES, end)).toBe(
    'e03ead0935c95e80e166b16dd92b4eb4d23513162b02d0f72a43a2fe4a5f97ab41e95b3bb0a2e8dd477901e4fca894c0',
  );
  const rollover = Buffer.alloc(4);
  const tag = createHmac('sha1', authKey).update(sealed.subarray(0, end)).update(rollover).digest();
  expect(sealed.subarray(end)).toEqual(tag.subarray(0, TAG_BYTES.cm));
  expect(open(CM, keys, sealed)).toEqual({ kind: KIND.rtp, plain });
});

it('AES-CM: the session keys that the addon is given (RFC 3711 B.3)', () => {
  const localKey = hex('E1F97A0D3E018BE0D64FA32C06DE4139');
  const localSalt = hex('0EC675AD498AFEEBB6960B3AABE6');
  const none = Buffer.alloc(0);
  const keys = sessionKeyBytes({
    profile: 'AES_CM_128_HMAC_SHA1_80',
    localKey,
    localSalt,
    remoteKey: none,
    remoteSalt: none,
  });
  expect(keys.toString('hex', 0, 50)).toBe(
    'c61e7a93744f39ee10734afe3ff7a087' + // cipher key
      '30cbbc08863d8c85d49db34a9ae1' + // salt
      'cebe321f6ff7716b6fd4ab49af256a156d38baa4', // authentication key
  );
});
