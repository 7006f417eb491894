import { expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { FlvReader, type FlvTag, isKeyframe, isSequenceHeader } from './flv-reader.ts';

const HEADER = Buffer.from([0x46, 0x4c, 0x56, 1, 5, 0, 0, 0, 9, 0, 0, 0, 0]);

function flv(tags: readonly FlvTag[]): Buffer {
  const written = tags.map(({ type, timestampMs, payload }) => {
    const out = Buffer.alloc(11 + payload.length + 4);
    out.writeUInt8(type, 0);
    out.writeUIntBE(payload.length, 1, 3);
    out.writeUIntBE(timestampMs & 0xffffff, 4, 3);
    out.writeUInt8(timestampMs >>> 24, 7);
    payload.copy(out, 11);
    out.writeUInt32BE(11 + payload.length, 11 + payload.length);
    return out;
  });
  return Buffer.concat([HEADER, ...written]);
}

const tag = fc.record<FlvTag>({
  type: fc.constantFrom(8, 9, 18),
  timestampMs: fc.nat(0xffff_ffff),
  payload: fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
});

it('gives the tags, however the bytes arrive', () => {
  fc.assert(
    fc.property(fc.array(tag, { maxLength: 10 }), fc.integer({ min: 1, max: 400 }), (tags, size) => {
      const bytes = flv(tags);
      const reader = new FlvReader();
      const read: FlvTag[] = [];
      for (let at = 0; at < bytes.length; at += size) read.push(...reader.push(bytes.subarray(at, at + size)));
      expect(read).toEqual(tags);
    }),
  );
});

it('refuses what is not FLV, and tags without end', () => {
  expect(() => new FlvReader().push(Buffer.from('<html>not this one'))).toThrow('not FLV');
  expect(() => new FlvReader().push(Buffer.concat([HEADER, Buffer.alloc(11, 0xff)]))).toThrow('too large');
});

it('tells keyframes and sequence headers from the rest', () => {
  const of = (type: number, ...bytes: number[]): FlvTag => ({ type, timestampMs: 0, payload: Buffer.from(bytes) });
  expect([of(9, 0x17, 1), of(9, 0x27, 1), of(9, 0x90), of(8, 0x17, 1)].map(isKeyframe)).toEqual([
    true,
    false,
    true,
    false,
  ]);
  expect(
    [of(9, 0x17, 0), of(9, 0x17, 1), of(9, 0x90), of(9, 0x91), of(8, 0xaf, 0), of(8, 0xaf, 1)].map(isSequenceHeader),
  ).toEqual([true, false, true, false, true, false]);
});
