import { expect, test } from 'vitest';
import { readNodeSettings } from '../config.ts';
import { checkMachine, judgeBuffers, judgeCores, judgeDescriptors } from './machine-check.ts';

const GOOD = { EDGE_URL: 'https://edge.example', NODE_TOKEN: 'secret', MEDIA_ADDRESSES: '127.0.0.1' };
const MIB = 1024 * 1024;

test.each([
  [{ receive: 8 * MIB, send: 8 * MIB }, 'ok', /8\.0 MiB in/],
  [{ receive: 8 * MIB, send: 4 * MIB }, 'warning', /net\.core\.wmem_max=8388608/],
  [{ receive: 212_992, send: 8 * MIB }, 'warning', /0\.2 MiB in/],
] as const)('socket buffers of %j', (granted, outcome, words) => {
  expect(judgeBuffers(granted, 8 * MIB)).toMatchObject({ outcome, detail: expect.stringMatching(words) });
});

test('descriptors', () => {
  expect(judgeDescriptors(1024).outcome).toBe('ok');
  expect(judgeDescriptors(64)).toMatchObject({ outcome: 'warning', detail: expect.stringContaining('LimitNOFILE') });
  expect(judgeDescriptors(null).outcome).toBe('unknown');
});

test('more workers than cores', () => {
  expect(judgeCores(2, 2).outcome).toBe('ok');
  expect(judgeCores(3, 2)).toMatchObject({ outcome: 'warning', detail: expect.stringContaining('--workers auto') });
});

test('the engine that would run, and an ffmpeg that is not where it should be', async () => {
  const findings = await checkMachine(
    readNodeSettings({ ...GOOD, FANOUT_ENGINE: 'portable', FFMPEG_PATH: '/no/ffmpeg' }),
    1,
  );
  expect(findings).toContainEqual({ outcome: 'ok', subject: 'engine', detail: 'portable, by FANOUT_ENGINE' });
  expect(findings).toContainEqual(
    expect.objectContaining({ outcome: 'warning', subject: 'ffmpeg', detail: expect.stringContaining('/no/ffmpeg') }),
  );
});
