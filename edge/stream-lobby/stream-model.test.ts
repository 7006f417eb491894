/**
 * Any interleaving of calls, reports, relays and losses. Beside the machine stands a model of the nodes: they carry what was
 * opened there, and drop what a newer wish does not list. Whatever happens, the lobby and the nodes end up of one mind.
 */

import { describe, expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { move } from './model-moves-under-test.ts';
import { World } from './model-world-under-test.ts';

const TIMEOUT_MS = 60_000;

describe('any interleaving', () => {
  test('keeps one session for each user, and nobody where nobody should be', { timeout: TIMEOUT_MS }, () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60, size: 'max' }), (moves) => {
        const world = new World();
        for (const next of moves) world.run(next);
        // Everybody goes: nothing is left, on either side.
        for (let turn = 0; turn < 40 && world.room.state !== null; turn += 1) {
          world.run({ do: 'leave', pick: 0, listener: false });
          world.run({ do: 'wait', ms: 70_000 });
        }
        expect(world.room.state).toBeNull();
      }),
      { numRuns: 500 },
    );
  });

  test('ends with every listener’s node having the tracks of all others, by itself or by one relay', {
    timeout: TIMEOUT_MS,
  }, () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60, size: 'max' }), (moves) => {
        const world = new World();
        for (const next of moves) world.run(next);
        world.converge();
      }),
      { numRuns: 500 },
    );
  });
});
