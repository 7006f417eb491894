import { expect, test } from 'vitest';
import { isForOperator } from './runtime-log.ts';

test.each([
  ['error', 'Error: a mistake in the worker', true],
  ['warn', 'a warning', true],
  ['log', 'not worth a line', false],
  ['warn', 'NOSENTRY SQLite alarm handler canceled with requestScheduledAlarm.; scheduledTime = 1795254695.11s', false],
  ['error', 'NOSENTRY something else; and it may matter', true],
])('%s: %s', (level, message, expected) => {
  expect(isForOperator({ level, message })).toBe(expected);
});
