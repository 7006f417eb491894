import { expect, test } from 'vitest';
import { FaultLog } from './fault-log.ts';

test('a fault is told with its stack, then at 10 and 100 times in one line', () => {
  const lines: string[] = [];
  const { note } = new FaultLog((line) => lines.push(line));
  const error = new Error('boom');

  for (let i = 0; i < 100; i++) note(error);
  note('another');

  expect(lines).toHaveLength(4);
  expect(lines[0]).toMatch(/boom\n\s+at /);
  expect(lines.slice(1)).toEqual([
    'a fault, 10 times now: Error: boom',
    'a fault, 100 times now: Error: boom',
    'a fault, survived: another',
  ]);
});

test('faults without end do not grow anything', () => {
  const lines: string[] = [];
  const { note } = new FaultLog((line) => lines.push(line));

  for (let i = 0; i < 1_000; i++) note(`kind ${i}`);

  expect(lines).toHaveLength(100);
});
