import { expect, test } from 'vitest';
import { announcedAddresses, parseMediaAddresses } from './addresses.ts';

test('a list of addresses and pairs, IPv4 first', () => {
  expect(parseMediaAddresses('::1, 10.0.0.5/203.0.113.9 ,127.0.0.1')).toEqual([
    { bind: '10.0.0.5', announce: '203.0.113.9', family: 4 },
    { bind: '127.0.0.1', announce: '127.0.0.1', family: 4 },
    { bind: '::1', announce: '::1', family: 6 },
  ]);
});

test.each(['localhost', '10.0.0.5/', '10.0.0.5/::1', '1.2.3.4/5.6.7.8/9.9.9.9', '1.2.3', ' , '])(
  '"%s" is refused by name',
  (text) => {
    expect(() => parseMediaAddresses(text)).toThrow(/neither an IP address|names no address/);
  },
);

test("by default the machine's own addresses, then containers', then loopback; link-local ones never", () => {
  const info = (address: string, family: 'IPv4' | 'IPv6', internal = false) => ({
    address,
    family,
    internal,
    netmask: '',
    mac: '',
    cidr: null,
    ...(family === 'IPv6' ? { scopeid: 0 } : {}),
  });

  const addresses = announcedAddresses({
    lo: [info('127.0.0.1', 'IPv4', true), info('::1', 'IPv6', true)],
    docker0: [info('172.17.0.1', 'IPv4')],
    eth0: [info('192.0.2.10', 'IPv4'), info('fe80::1', 'IPv6'), info('2001:db8::1', 'IPv6')],
  } as Parameters<typeof announcedAddresses>[0]);

  expect(addresses.map((address) => address.bind)).toEqual([
    '192.0.2.10',
    '172.17.0.1',
    '127.0.0.1',
    '2001:db8::1',
    '::1',
  ]);
});
