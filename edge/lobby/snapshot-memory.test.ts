import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { succeeded } from '../../shared/errors.ts';
import { SnapshotMemory } from './snapshot-memory.ts';

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

test('many who ask get one picture; the next second has another, and so has another publisher', async () => {
  const memory = new SnapshotMemory();
  let made = 0;
  const ask = async () => {
    made += 1;
    return succeeded({ jpeg: String(made) });
  };
  const all = await Promise.all(Array.from({ length: 100 }, () => memory.take('a', ask)));
  expect(new Set(all).size).toBe(1);
  expect(made).toBe(1);
  await memory.take('b', ask);
  expect(made).toBe(2);
  vi.advanceTimersByTime(1_000);
  await memory.take('b', ask);
  expect(made).toBe(3);
});

test('an error is not remembered', async () => {
  const memory = new SnapshotMemory();
  await expect(memory.take('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away');
  expect(await memory.take('a', async () => succeeded({ jpeg: 'x' }))).toEqual(succeeded({ jpeg: 'x' }));
});
