import { expect, test } from 'vitest';
import { runCheck } from './run-check.ts';

async function check(environment: Record<string, string>): Promise<{ good: boolean; lines: string[] }> {
  const lines: string[] = [];
  const good = await runCheck(environment, { waitSeconds: 0, stun: null }, (line) => lines.push(line));
  return { good, lines };
}

test('wrong settings are lines like all others', async () => {
  const { good, lines } = await check({ MEDIA_PORT: 'x' });
  expect(good).toBe(false);
  expect(lines).toEqual([
    expect.stringMatching(/^FAILED {3}settings {5}EDGE_URL is required/),
    expect.stringMatching(/^FAILED {3}settings {5}NODE_TOKEN is required/),
    expect.stringMatching(/^FAILED {3}settings {5}MEDIA_PORT must be a port number/),
    '3 things to mend.',
  ]);
});

test('everything is looked at, though the first thing failed', async () => {
  const { good, lines } = await check({
    EDGE_URL: 'http://127.0.0.1:9',
    NODE_TOKEN: 'x',
    MEDIA_ADDRESSES: '127.0.0.1',
    MEDIA_PORT: '0',
    NODE_WORKERS: '2',
  });
  expect(good).toBe(false);
  const text = lines.join('\n');
  expect(text).toMatch(/FAILED {3}edge .*nothing listens there/);
  expect(text).toMatch(/ok .* UDP port {5}\d+, \d+ on 127\.0\.0\.1/);
  expect(text).toMatch(/2 workers/);
  expect(lines.at(-1)).toBe('1 thing to mend.');
});
