import { randomBytes } from 'node:crypto';
import { expect, test } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import type { SrtpProfile } from '../../transport/types.ts';
import { PacketWorkbench } from './packet-workbench.ts';
import { deriveSessionKeys } from './session-keys.ts';
import { SrtpSender } from './srtp-sender.ts';
import { SrtpStreams } from './srtp-stream.ts';

const PROFILES: SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];
const SSRC = 0xcafebabe;

function keysOf(profile: SrtpProfile, key: Buffer, salt: Buffer) {
  return deriveSessionKeys(profile, key, salt.subarray(0, profile === 'AEAD_AES_128_GCM' ? 12 : 14));
}

function headerInto(out: Buffer, length: number, sequence: number): void {
  out.fill(0x5a, 0, length);
  out[0] = 0x90;
  out.writeUInt16BE(sequence % 0x10000, 2);
  out.writeUInt32BE(SSRC, 8);
}

test.each(PROFILES)('%s: whatever the lengths and the order of numbers, it is what the plain way makes', (profile) => {
  // RFC 3711's own vectors are the plain way's tests.
  const packet = fc.record({
    // Most in order, as it is; some far ahead, some again, some before.
    step: fc.oneof({ weight: 8, arbitrary: fc.constant(1) }, fc.integer({ min: -20, max: 30 })),
    header: fc.oneof({ weight: 4, arbitrary: fc.integer({ min: 12, max: 80 }) }, fc.integer({ min: 12, max: 2_048 })),
    payload: fc.oneof(fc.constantFrom(0, 1, 15, 16, 17, 1_160, 1_200, 4_096), fc.integer({ min: 0, max: 1_500 })),
  });
  const first = fc.oneof(fc.integer({ min: 40, max: 70_000 }), fc.constantFrom(0xfff8, 0xffff_ffff, 2 ** 40));
  fc.assert(
    fc.property(first, fc.array(packet, { minLength: 1, maxLength: 25 }), (start, packets) => {
      const keys = keysOf(profile, randomBytes(16), randomBytes(14));
      const plainWay = new SrtpSender(keys);
      const workbench = new PacketWorkbench();
      const stream = new SrtpStreams(keys, workbench).open(SSRC);
      const { out } = workbench;
      const expected = Buffer.alloc(6_400);
      let index = start;
      for (const { step, header, payload } of packets) {
        index = Math.max(0, index + step);
        const plain = randomBytes(payload);
        headerInto(out, header, index);
        headerInto(expected, header, index);
        workbench.load(plain);
        const length = stream.protect(header, index);
        const expectedLength = plainWay.protectRtp(expected, header, plain, Math.floor(index / 0x10000) >>> 0);
        expect(length).toBe(expectedLength);
        expect(out.subarray(0, length).equals(expected.subarray(0, length)), `${header} + ${payload}, ${index}`).toBe(
          true,
        );
      }
    }),
    { numRuns: 40 },
  );
});

test('two streams of a session do not disturb each other', () => {
  const keys = keysOf('AEAD_AES_128_GCM', randomBytes(16), randomBytes(14));
  const workbench = new PacketWorkbench();
  const session = new SrtpStreams(keys, workbench);
  const [video, audio] = [session.open(1), session.open(2)];
  const { out } = workbench;
  const texts = new Set<string>();
  workbench.load(Buffer.alloc(100));
  for (let index = 0; index < 20; index++) {
    for (const [ssrc, stream] of [
      [1, video],
      [2, audio],
    ] as const) {
      headerInto(out, 12, index);
      out.writeUInt32BE(ssrc, 8);
      const expected = Buffer.from(out);
      const length = stream.protect(12, index);
      new SrtpSender(keys).protectRtp(expected, 12, Buffer.alloc(100), 0);
      expect(out.subarray(0, length).equals(expected.subarray(0, length))).toBe(true);
      texts.add(out.toString('hex', 12, 112));
    }
  }
  expect(texts.size).toBe(40);
});

test.each(PROFILES)('%s: what is too long for any packet is refused before anything is made of it', (profile) => {
  const workbench = new PacketWorkbench();
  const stream = new SrtpStreams(keysOf(profile, randomBytes(16), randomBytes(14)), workbench).open(SSRC);
  expect(() => workbench.load(Buffer.alloc(4_097))).toThrow(RangeError);
  expect(() => stream.protect(2_049, 1)).toThrow(RangeError);
});

test.each(PROFILES)('%s: a keystream that is too short is not eked out by what was there before', (profile) => {
  const workbench = new PacketWorkbench();
  const streams = new SrtpStreams(keysOf(profile, randomBytes(16), randomBytes(14)), workbench);
  workbench.load(Buffer.alloc(100));
  streams.open(SSRC).protect(12, 1);
  const tables = streams.tagKey.tables ?? Buffer.alloc(0);
  expect(() => workbench.seal(12, tables, Buffer.alloc(127), 0)).toThrow(RangeError);
  expect(() => workbench.encrypt(12, Buffer.alloc(111), 0)).toThrow(RangeError);
});
