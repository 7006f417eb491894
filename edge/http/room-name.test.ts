import { describe, expect, it } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { fc } from '../../shared/test-support/properties.ts';
import { roomBetween } from './room-name.ts';

const PREFIX = '/api/admin/rooms/';
const SUFFIX = '/close';

/** The room, or the code of the refusal. Anything else that is thrown fails the test. */
function read(name: string): string {
  try {
    return roomBetween(PREFIX + name + SUFFIX, PREFIX, SUFFIX);
  } catch (error) {
    if (!(error instanceof ProblemError)) throw error;
    expect(error.status).toBe(400);
    return error.code;
  }
}

describe('room names', () => {
  it.each([
    ['r1', 'r1'],
    ['A_b-9', 'A_b-9'],
    ['%41', 'A'],
    ['x'.repeat(64), 'x'.repeat(64)],
    ['x'.repeat(65), 'invalid_room'],
    ['', 'invalid_room'],
    ['%', 'invalid_room'],
    ['%2541', 'invalid_room'],
    ['r1\n', 'invalid_room'],
  ])('%j', (name, expected) => {
    expect(read(name)).toBe(expected);
  });

  it('are read or refused, whatever the path says', () => {
    const any = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 80 }),
      fc.stringMatching(/^(%[0-9a-fA-F]{0,2}|[A-Za-z0-9_.~/-]){0,70}$/),
    );
    fc.assert(
      fc.property(any, (name) => {
        expect(read(name)).toMatch(/^[A-Za-z0-9_-]{1,64}$/);
      }),
      { numRuns: 10_000 },
    );
  });
});
