import { expect, test } from 'vitest';
import { readByteRange } from './byte-range.ts';

const whole = { kind: 'whole' };
const part = (first: number, last: number) => ({ kind: 'part', first, last });

test.each([
  [null, whole],
  ['bytes=0-', part(0, 999)],
  ['bytes=0-0', part(0, 0)],
  ['bytes=500-2000', part(500, 999)],
  ['bytes=-100', part(900, 999)],
  ['bytes=-5000', part(0, 999)],
  ['Bytes = 1 - 2', part(1, 2)],
  ['bytes=1000-', { kind: 'unsatisfiable' }],
  ['bytes=-0', { kind: 'unsatisfiable' }],
  // Not asked for in a way that is understood: RFC 9110 §14.2 has it ignored.
  ['bytes=5-4', whole],
  ['bytes=-', whole],
  ['bytes=0-1,5-6', whole],
  ['chapters=1-2', whole],
  ['bytes=99999999999999999999-', whole],
])('%s of 1000 bytes', (field, expected) => {
  expect(readByteRange(field, 1000)).toEqual(expected);
});

test('there is no range in nothing', () => {
  expect(readByteRange('bytes=0-', 0)).toEqual({ kind: 'unsatisfiable' });
});
