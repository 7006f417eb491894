import { describe, expect, it } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import type { CodecName } from '../../negotiate/plan.ts';
import { isKeyframeStart } from './keyframes.ts';

const cases: [codec: CodecName, what: string, hex: string, expected: boolean][] = [
  ['H264', 'single NAL IDR', '6588840021', true],
  ['H264', 'single NAL SPS', '6742c01f8c', true],
  ['H264', 'PPS alone', '68ce3c80', false],
  ['H264', 'non-IDR slice', '419a2035', false],
  ['H264', 'STAP-A of SPS and PPS', '7800056742c01f8c000468ce3c80', true],
  ['H264', 'STAP-A of AUD and slice', '78000209f00003419a20', false],
  ['H264', 'STAP-A of AUD and SPS', '78000209f000046742c01f', true],
  ['H264', 'STAP-A cut off', '780005', false],
  ['H264', 'FU-A start of IDR', '7c8588840021', true],
  ['H264', 'FU-A middle of IDR', '7c0588840021', false],
  ['H264', 'FU-A start of non-IDR', '7c819a2035', false],
  ['H265', 'VPS', '40010c01ffff', true],
  ['H265', 'IDR_W_RADL', '2601af0918', true],
  ['H265', 'CRA', '2a01af0918', true],
  ['H265', 'TRAIL_R', '0201d00918', false],
  ['H265', 'AP of VPS, SPS, PPS', '6001000440010c0100034201010003440101', true],
  ['H265', 'AP of trailing pictures', '600100040201d00900040201d009', false],
  ['H265', 'FU start of IDR', '6201939a20', true],
  ['H265', 'FU end of IDR', '6201539a20', false],
  ['VP8', 'key frame', '10700a009d012a', true],
  ['VP8', 'interframe', '1071', false],
  ['VP8', 'key frame, 15-bit picture id, TL0, TID', '90e08001054070', true],
  ['VP8', 'interframe, 7-bit picture id', '90800171', false],
  ['VP8', 'later packet of a key frame', '00700a00', false],
  ['VP8', 'second partition', '1170', false],
  ['VP8', 'only a descriptor', '9080', false],
  ['VP9', 'key picture, flexible, long id, layer 0', 'b8812a0049', true],
  ['VP9', 'key picture, upper spatial layer', 'a8812a0249', false],
  ['VP9', 'inter picture', 'e8812a0049', false],
  ['VP9', 'second packet of a key picture', 'a0812a0049', false],
  ['VP9', 'key picture without layers', '880149', true],
  ['AV1', 'N bit', '180a0b00', true],
  ['AV1', 'sequence header, W=0', '00030a0b00023200', true],
  ['AV1', 'sequence header, W=1, no N', '100a0b00', true],
  ['AV1', 'frame OBU, W=1', '10320b00', false],
  ['AV1', 'delimiter then sequence header, W=2', '200112080a', true],
  ['AV1', 'frame then sequence header, W=2', '200232000a0b', true],
  ['AV1', 'continuation of a sequence header', '900a0b00', false],
  ['opus', 'anything', 'f800', true],
];

describe('isKeyframeStart', () => {
  it.each(cases)('%s: %s', (codec, _what, hex, expected) => {
    expect(isKeyframeStart(codec, Buffer.from(hex, 'hex'))).toBe(expected);
  });

  it('answers for any bytes', () => {
    const codecs: CodecName[] = ['H264', 'H265', 'VP8', 'VP9', 'AV1'];
    fc.assert(
      fc.property(fc.constantFrom(...codecs), fc.uint8Array({ maxLength: 64 }), (codec, bytes) => {
        expect(typeof isKeyframeStart(codec, Buffer.from(bytes))).toBe('boolean');
      }),
      { numRuns: 10_000 },
    );
  });
});
