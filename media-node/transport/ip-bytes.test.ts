import { expect, test } from 'vitest';
import { ipBytes } from './ip-bytes.ts';

test.each([
  ['127.0.0.1', '7f000001'],
  ['::', '00000000000000000000000000000000'],
  ['::1', '00000000000000000000000000000001'],
  ['fe80::1%eth0', 'fe800000000000000000000000000001'],
  ['2001:db8::8:800:200c:417a', '20010db80000000000080800200c417a'],
  ['::ffff:192.0.2.1', '00000000000000000000ffffc0000201'],
  ['1:2:3:4:5:6:7::', '00010002000300040005000600070000'],
])('%s', (address, expected) => {
  expect(ipBytes(address).toString('hex')).toBe(expected);
});

test.each(['', 'localhost', '1.2.3', '1::2::3'])('%j is no address', (address) => {
  expect(() => ipBytes(address)).toThrow(RangeError);
});
