import { describe, expect, it } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import type { CodecName } from '../../negotiate/plan.ts';
import { pictureSize } from './picture-size.ts';

const VP8_FRAME = '50e5009d012a80026801';
const H264_SPS = '6742c01f8c8d40a00b7602d4040405 00'.replace(' ', '');

const cases: [codec: CodecName, what: string, hex: string, expected: { width: number; height: number } | null][] = [
  ['VP8', 'key frame', `10${VP8_FRAME}`, { width: 640, height: 360 }],
  ['VP8', 'key frame behind a 15-bit picture id', `9080e012${VP8_FRAME}`, { width: 640, height: 360 }],
  ['VP8', 'no start code', '1050e500ffffff80026801', null],
  ['VP8', 'cut off', '1050e5009d01', null],
  ['H264', 'a picture without parameter sets', '6588840021', null],
  ['AV1', 'without a sequence header', '1832001122', null],
  ['opus', 'sound', 'fc0102030405', null],
];

describe('the size of pictures in the first packet of a keyframe', () => {
  it.each(cases)('%s: %s', (codec, _, hex, expected) => {
    const size = pictureSize(codec, Buffer.from(hex, 'hex'));
    expect(size === null ? null : { width: size.width, height: size.height }).toEqual(expected);
  });

  it('an SPS says the same alone and among other units', () => {
    const sps = Buffer.from(H264_SPS, 'hex');
    const alone = pictureSize('H264', sps);
    const length = Buffer.alloc(2);
    length.writeUInt16BE(sps.length);
    const together = Buffer.concat([Buffer.from('78000209f0', 'hex'), length, sps, Buffer.from('000468ce3c80', 'hex')]);
    expect(alone).not.toBeNull();
    expect(pictureSize('H264', together)).toEqual(alone);
  });

  it('takes anything', () => {
    const codecs = fc.constantFrom<CodecName>('H264', 'H265', 'VP8', 'VP9', 'AV1', 'opus');
    fc.assert(
      fc.property(codecs, fc.uint8Array({ maxLength: 80 }), (codec, bytes) => {
        const size = pictureSize(codec, Buffer.from(bytes));
        if (size !== null) expect(size.width * size.height).toBeGreaterThan(0);
      }),
      { numRuns: 1000 },
    );
  });
});
