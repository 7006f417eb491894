import type { NetworkInterfaceInfo } from 'node:os';
import { expect, test } from 'vitest';
import type { SpaceName, StreamId } from '../../shared/ids.ts';
import { type BannerInput, banner } from './banner.ts';
import { parseSettings } from './settings.ts';

const NODE = {
  event: 'ready',
  node: 'local',
  addresses: ['127.0.0.1:8840'],
  engine: 'portable',
  version: '1',
} as const;
const LAN = { address: '192.168.1.5', family: 'IPv4', internal: false } as NetworkInterfaceInfo;

function print(environment: Record<string, string>, change: Partial<BannerInput> = {}): string {
  return banner({
    version: '1.2.3',
    settings: parseSettings(environment),
    url: new URL('http://127.0.0.1:8080/'),
    node: { ...NODE, addresses: [...NODE.addresses] },
    demo: null,
    secretsFile: null,
    interfaces: { eth0: [LAN] },
    color: false,
    ...change,
  });
}

test('has everything to paste, and no colour codes where nobody wants them', () => {
  const text = print({});
  expect(text).toContain('Server        http://127.0.0.1:8080/api/whip/publish/live\n');
  expect(text).toMatch(/-f whip http:\/\/127\.0\.0\.1:8080\/api\/whip\/publish\/live\n/);
  expect(text).toContain('UDP 127.0.0.1:8840 (node local, portable fan-out)');
  expect(text).toContain('Auth      open:');
  expect(text).not.toContain('\x1b');
  expect(print({}, { color: true })).toContain('\x1b[');
});

test('several nodes have an address each', () => {
  const workers = [1, 2].map((index) => ({ node: `local-${index}`, addresses: [`127.0.0.1:884${index}`], pid: index }));
  const text = print({}, { node: { ...NODE, addresses: workers.flatMap(({ addresses }) => addresses), workers } });
  expect(text).toContain('UDP 127.0.0.1:8841, 127.0.0.1:8842 (nodes local-1 to local-2, portable fan-out)');
});

test('a secret is named, never shown', () => {
  const text = print({ AUTH_TOKEN: 'hush', JWT_SECRET: 'hush, and long enough' });
  expect(text).toContain('one token for all rooms, JWT');
  expect(text).toContain('-authorization TOKEN');
  expect(text).not.toContain('hush');
});

test('the demo has a link for each of its people', () => {
  const demo = {
    space: 'demo' as SpaceName,
    stream: 'de300000-0000-4000-8000-000000000001' as StreamId,
    members: [
      { user: 'ada', isOwner: true, token: 'a.a.a' },
      { user: 'ben', isOwner: false, token: 'b.b.b' },
    ],
  };
  const text = print({}, { demo });
  expect(text).toMatch(
    /ada, who owns it.*\n +http:\/\/127\.0\.0\.1:8080\/web\/lobby\.html\?space=demo&stream=\S+#token=a\.a\.a\n/,
  );
  expect(text).toMatch(/ben, a guest\n +http:\S+#token=b\.b\.b\n/);
  expect(print({})).not.toContain('lobby');
});

test('room tokens alone leave the other rooms open, and it says so', () => {
  expect(print({ ROOM_TOKENS: 'a:b' })).toContain('room tokens; other rooms are open');
});

test('the recordings have a link, and a hint as long as nothing is recorded', () => {
  const link = 'http://127.0.0.1:8080/web/records.html';
  expect(print({})).toContain(`${link}  (RECORD_ENABLED=1 records every room)\n`);
  expect(print({ RECORD_ENABLED: '1' })).toContain(`${link}\n`);
});

test('a public URL is what others paste', () => {
  expect(print({ PUBLIC_URL: 'https://live.example.org/' })).toContain(
    'https://live.example.org/api/whip/publish/live',
  );
});

test.each(['0.0.0.0', '::'])('on HOST=%s the addresses on the network are shown', (HOST) => {
  expect(print({ HOST })).toContain('http://192.168.1.5:8080/');
  expect(print({})).not.toContain('192.168.1.5');
});

test('an edge without a node says how to start one', () => {
  const text = print({}, { node: null, secretsFile: '/s/secrets.json' });
  expect(text).toContain('EDGE_URL=http://127.0.0.1:8080');
  expect(text).toContain('/s/secrets.json');
});
