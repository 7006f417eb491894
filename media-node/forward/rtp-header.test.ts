import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { findExtension, paddingLength, parseRtpHeader, RtpHeader } from './rtp-header.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const header = new RtpHeader();

describe('parseRtpHeader', () => {
  it('reads all fields', () => {
    const packet = hex('92e0 1234 89abcdef 00000001 0000000a 0000000b bede0001 10aa0000 ffff');
    expect(parseRtpHeader(packet, packet.length, header)).toBe(true);
    expect(header).toMatchObject({
      marker: true,
      payloadType: 96,
      sequence: 0x1234,
      timestamp: 0x89abcdef,
      ssrc: 1,
      length: 28,
      extensionProfile: 0xbede,
      hasPadding: false,
    });
  });

  it.each([
    ['too short', '80600001000000010000'],
    ['version 1', '406000010000000100000001'],
    ['CSRCs cut off', '816000010000000100000001'],
    ['extension header cut off', '906000010000000100000001bede'],
    ['extension cut off', '906000010000000100000001bede000200000000'],
  ])('refuses %s', (_what, text) => {
    const packet = hex(text);
    expect(parseRtpHeader(packet, packet.length, header)).toBe(false);
  });
});

describe('findExtension', () => {
  const find = (text: string, id: number): string | null => {
    const packet = hex(text);
    expect(parseRtpHeader(packet, packet.length, header)).toBe(true);
    const offset = findExtension(packet, header, id);
    return offset < 0 ? null : packet.toString('hex', offset, offset + header.foundLength);
  };
  const oneByte = '9060000100000001 00000001 bede0003 10aa 00 21bbcc 00 f0 dddddddd';
  const twoByte = '9060000100000001 00000001 10000003 0102aabb 00 0300 1001 ee 000000';

  it.each([
    [oneByte, 1, 'aa'],
    [oneByte, 2, 'bbcc'],
    [oneByte, 3, null],
    [oneByte, 13, null],
    [twoByte, 1, 'aabb'],
    [twoByte, 3, ''],
    [twoByte, 16, 'ee'],
    [twoByte, 5, null],
    ['9060000100000001 00000001 bede0001 1faabbcc', 1, null],
    ['9060000100000001 00000001 10000001 0109aabb', 1, null],
    ['9060000100000001 00000001 abcd0001 10aabbcc', 1, null],
    ['8060000100000001 00000001', 1, null],
  ])('%s, id %i: %s', (text, id, expected) => {
    expect(find(text, id)).toBe(expected);
  });

  it('stays inside the packet for any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 12, maxLength: 80 }), fc.nat(255), (bytes, id) => {
        const packet = Buffer.from(bytes);
        packet[0] = 0x90 | ((packet[0] as number) & 0x2f);
        packet[12] = 0xbe;
        if (!parseRtpHeader(packet, packet.length, header)) return;
        const offset = findExtension(packet, header, id);
        if (offset >= 0) expect(offset + header.foundLength).toBeLessThanOrEqual(header.extensionEnd);
        expect(paddingLength(packet, packet.length, header)).toBeLessThanOrEqual(packet.length - header.length);
      }),
      { numRuns: 10_000 },
    );
  });
});
