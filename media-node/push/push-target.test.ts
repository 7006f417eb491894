import { expect, it, test } from 'vitest';
import { AddressPolicy, isPublicAddress } from './address-policy.ts';
import { parsePushTarget, sanitise } from './push-target.ts';

test.each([
  [
    'rtmp://a.example/live/key',
    { tls: false, host: 'a.example', port: 1935, app: 'live', key: 'key', tcUrl: 'rtmp://a.example/live' },
  ],
  [
    'rtmps://a.example:8443/live2/inst/k?s=1/2',
    { tls: true, port: 8443, app: 'live2/inst', key: 'k?s=1/2', tcUrl: 'rtmps://a.example:8443/live2/inst' },
  ],
  ['RTMP://[2001:db8::1]/app/k', { host: '2001:db8::1', app: 'app', key: 'k' }],
  ['rtmp://a.example:80/app?x=1/key', { port: 80, app: 'app?x=1', key: 'key' }],
  ['rtmps://a.example/live/k', { port: 443 }],
])('%s', (url, target) => {
  expect(parsePushTarget(url)).toMatchObject(target);
});

test.each([
  'http://a.example/live/key',
  'rtmp://a.example',
  'rtmp://a.example/live',
  'rtmp://a.example/live/',
  'rtmp:///live/key',
  'rtmp://user:pass@a.example/live/key',
  'rtmp://a.example/li ve/key',
  '/tmp/file',
  'file:///tmp/x',
])('%s is no target', (url) => {
  expect(parsePushTarget(url)).toBeNull();
});

it('leaves no form of the key in what is shown, and one line of it', () => {
  const target = parsePushTarget('rtmp://a.example/live/ab%20c?token=t0p');
  const said = sanitise('bad ab%20c?token=t0p,\n ab c?token=t0p; ab%20c \u001b[31m', target);
  for (const secret of ['ab c', 'ab%20c', 't0p', '\n', '\u001b']) expect(said).not.toContain(secret);
  expect(sanitise('x'.repeat(1_000), target)).toHaveLength(300);
});

test.each([
  ['8.8.8.8', true],
  ['2606:4700::1111', true],
  ['127.0.0.1', false],
  ['10.1.2.3', false],
  ['169.254.169.254', false],
  ['192.168.1.1', false],
  ['::1', false],
  ['::', false],
  ['::ffff:127.0.0.1', false],
  ['fe80::1', false],
  ['fd00::1', false],
  ['fec0::1', false],
  ['64:ff9b::a00:1', false],
  ['64:ff9b:1::a00:1', false],
  ['2001::1', false],
  ['2002:a00:1::1', false],
  ['3fff::1', false],
  ['5f00::1', false],
  ['2a00:1450::1', true],
  ['192.88.99.1', false],
  ['224.0.0.1', false],
  ['localhost', false],
])('%s is a public address: %s', (address, expected) => {
  expect(isPublicAddress(address)).toBe(expected);
});

it('without a list public hosts only, with one only what is listed', () => {
  const open = new AddressPolicy([]);
  expect([open.refusal('a.example'), open.refusal('8.8.8.8'), open.refusal('10.0.0.1')]).toEqual([
    null,
    null,
    expect.stringContaining('not public'),
  ]);
  const listed = new AddressPolicy(['A.example', '[::1]', '10.0.0.1']);
  expect(['a.example.', '::1', '10.0.0.1'].map((host) => listed.refusal(host))).toEqual([null, null, null]);
  expect(listed.refusal('b.example')).toContain('LIVE_ALLOWED_HOSTS');
});

it('a name that leads into the own network does not resolve, unless it is listed', async () => {
  const resolve = (policy: AddressPolicy): Promise<string> =>
    new Promise((done) => {
      policy.lookupFor('localhost')('localhost', {}, (error, address) => done(error?.message ?? String(address)));
    });
  expect(await resolve(new AddressPolicy([]))).toContain('not public');
  expect(await resolve(new AddressPolicy(['localhost']))).toMatch(/^(127\.0\.0\.1|::1)$/);
});
