import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { MAX_NACKS_PER_DATAGRAM, parseRtcp } from './parse.ts';
import { VisitorLog } from './visitor-log.ts';

function parse(hex: string): { valid: boolean; lines: string[] } {
  const bytes = Buffer.from(hex.replaceAll(' ', ''), 'hex');
  const log = new VisitorLog();
  return { valid: parseRtcp(bytes, bytes.length, log), lines: log.lines };
}

const RECEIVER_REPORT =
  '81c90007 0000000a 0000000b' + // V=2 RC=1 PT=201, 8 words; reporter 10 about 11
  '40fffffe' + // fraction 64/256, cumulative -2
  '00010203 00000078 dd83d1c6 00018000';
const SENDER_REPORT = '80c80006 12345678 e0000001 80000000 00015f90 00000064 00002710';

describe('parseRtcp', () => {
  it.each([
    [
      'a sender report without blocks',
      SENDER_REPORT,
      ['senderReport(305419896, 3758096385, 2147483648, 90000, 100, 10000)'],
    ],
    ['a receiver report', RECEIVER_REPORT, ['reportBlock(10, 11, 0.25, -2, 66051, 120, 3716403654, 98304)']],
    ['an empty receiver report', '80c90001 0000000a', []],
    ['profile-specific extensions after the blocks', '80c90002 0000000a 01020304', []],
    [
      'a sender report with a block',
      `81c8000c${SENDER_REPORT.replaceAll(' ', '').slice(8)}${RECEIVER_REPORT.replaceAll(' ', '').slice(16)}`,
      [
        'senderReport(305419896, 3758096385, 2147483648, 90000, 100, 10000)',
        'reportBlock(305419896, 11, 0.25, -2, 66051, 120, 3716403654, 98304)',
      ],
    ],
    ['a NACK of one packet', '81cd0003 00000001 00000002 03e80000', ['nack(1, 2, 1000)']],
    [
      'a NACK with a mask, over the wrap',
      '81cd0003 00000001 00000002 ffff8003',
      ['nack(1, 2, 65535)', 'nack(1, 2, 0)', 'nack(1, 2, 1)', 'nack(1, 2, 15)'],
    ],
    [
      'a NACK with two pairs',
      '81cd0004 00000001 00000002 00050001 00640000',
      ['nack(1, 2, 5)', 'nack(1, 2, 6)', 'nack(1, 2, 100)'],
    ],
    ['a PLI', '81ce0002 00000001 00000002', ['pli(1, 2)']],
    [
      'a FIR with two entries',
      '84ce0006 00000001 00000000 00000002 07000000 00000003 ff000000',
      ['fir(1, 2, 7)', 'fir(1, 3, 255)'],
    ],
    // 2^1 × 131072 = 262144 bit/s: exponent 1, mantissa 0x20000
    ['a REMB', '8fce0005 00000001 00000000 52454d42 01060000 00000002', ['remb(1, 262144)']],
    [
      'a REMB near the top of its range',
      '8fce0004 00000001 00000000 52454d42 00fbffff',
      [`remb(1, ${262143 * 2 ** 62})`],
    ],
    ['other application layer feedback', '8fce0003 00000001 00000000 41424344', []],
    ['a BYE of two with a reason', '82cb0003 00000001 00000002 03627965', ['bye(1)', 'bye(2)']],
    ['a BYE of nobody', '80cb0000', []],
    [
      'SDES, APP, XR and transport-wide feedback, skipped',
      '81ca0001 00000001 80cc0002 00000001 41414141 80cf0001 00000001 8fcd0005 00000001 00000002 00010001 00000000 20010000',
      [],
    ],
    ['an unknown type, skipped', '80df0001 00000001 81ce0002 00000001 00000002', ['pli(1, 2)']],
    [
      'padding, even in the middle and not a multiple of four',
      'a1ce0003 00000001 00000002 00000003 81ce0002 00000001 00000003',
      ['pli(1, 2)', 'pli(1, 3)'],
    ],
    [
      'a compound packet',
      `80c90001 0000000a 81cd0003 00000001 00000002 03e80000 81ce0002 00000001 00000002`,
      ['nack(1, 2, 1000)', 'pli(1, 2)'],
    ],
  ])('reads %s', (_, hex, expected) => {
    // Act
    const { valid, lines } = parse(hex);
    // Assert
    expect(lines).toEqual(expected);
    expect(valid).toBe(true);
  });

  it.each([
    ['nothing', ''],
    ['less than a header', '80c900'],
    ['version 1', '40c90001 0000000a'],
    ['version 3', 'c0c90001 0000000a'],
    ['a length beyond the datagram', '80c90002 0000000a'],
    ['a receiver report without its SSRC', '80c90000'],
    ['a count beyond the length', '82c90007 0000000a 0000000b 00000000 00000000 00000000 00000000 00000000'],
    ['a sender report cut short', '80c80005 12345678 e0000001 80000000 00015f90 00000064'],
    [
      'a sender report with fewer blocks than its count',
      '81c80006 12345678 e0000001 80000000 00015f90 00000064 00002710',
    ],
    ['a BYE with fewer SSRCs than its count', '82cb0001 00000001'],
    ['a NACK without pairs', '81cd0002 00000001 00000002'],
    ['a NACK without SSRCs', '81cd0001 00000001'],
    ['a PLI without media SSRC', '81ce0001 00000001'],
    ['a FIR without entries', '84ce0002 00000001 00000002'],
    ['a FIR with half an entry', '84ce0003 00000001 00000002 00000003'],
    ['a REMB with fewer SSRCs than its count', '8fce0005 00000001 00000000 52454d42 02060000 00000002'],
    ['padding of zero', 'a0c90002 0000000a 00000000'],
    ['padding longer than the body', 'a0c90001 00000005'],
    ['padding that hides the content', 'a1ce0002 00000001 00000004'],
    ['padding without a body', 'a0cb0000'],
    ['a tail shorter than a header', '80c90001 0000000a 80c9'],
  ])('refuses %s', (_, hex) => {
    expect(parse(hex).valid).toBe(false);
  });

  it('visits what is valid before what is not', () => {
    expect(parse('81ce0002 00000001 00000002 40c90001 0000000a')).toEqual({ valid: false, lines: ['pli(1, 2)'] });
  });

  it('does not look beyond the given length, nor beyond the buffer', () => {
    // Arrange
    const bytes = Buffer.from('81ce00020000000100000002ffffffff', 'hex');
    const log = new VisitorLog();
    // Act, assert
    expect(parseRtcp(bytes, 12, log)).toBe(true);
    expect(parseRtcp(bytes, 17, log)).toBe(false);
    expect(parseRtcp(bytes.subarray(0, 8), 12, log)).toBe(false);
    expect(log.lines).toEqual(['pli(1, 2)']);
  });

  it('bounds the work that one datagram can cause', () => {
    // Arrange: 60 kB of pairs that each name 17 packets, twice, and a PLI behind them
    const pairs = 7500;
    const one = Buffer.alloc(12 + pairs * 4, 0xff);
    one.writeUInt32BE(0x81cd0000 + pairs + 2, 0);
    const bytes = Buffer.concat([one, one, Buffer.from('81ce00020000000100000002', 'hex')]);
    const log = new VisitorLog();
    // Act
    const valid = parseRtcp(bytes, bytes.length, log);
    // Assert
    expect(valid).toBe(true);
    expect(log.lines.filter((line) => line.startsWith('nack')).length).toBeLessThanOrEqual(MAX_NACKS_PER_DATAGRAM);
    expect(log.lines.at(-1)).toBe('pli(1, 2)');
  });

  it('never throws, and visits at most what the bytes can hold, whatever comes in', () => {
    // Arrange: noise, and noise with headers that get past the first checks
    const header = fc
      .tuple(fc.integer({ min: 0, max: 0x3f }), fc.integer({ min: 192, max: 210 }), fc.integer({ min: 0, max: 12 }))
      .map(([count, type, words]) => [0x80 | count, type, 0, words]);
    const packet = fc
      .tuple(header, fc.uint8Array({ maxLength: 48 }))
      .map(([head, body]) => Buffer.concat([Buffer.from(head), body]));
    const datagram = fc.oneof(
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
      fc.array(packet, { maxLength: 5 }).map((packets) => Buffer.concat(packets)),
    );
    fc.assert(
      fc.property(datagram, fc.integer({ min: -4, max: 4 }), (bytes, slack) => {
        const log = new VisitorLog();
        const length = bytes.length + slack;
        const valid = parseRtcp(bytes, length, log);
        if (length < 4 || slack > 0) expect(valid).toBe(false);
        expect(log.lines.length).toBeLessThanOrEqual((bytes.length / 4) * 17);
        for (const line of log.lines) expect(line).not.toMatch(/NaN|undefined|\(-/);
      }),
      { numRuns: 20_000 },
    );
  });
});
