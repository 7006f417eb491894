/** All that can happen to a lobby and its nodes. */
import { fc } from '../../shared/test-support/properties.ts';

const USERS = ['u1', 'u2', 'u3', 'u4'] as const;

const pick = fc.nat({ max: 7 });
export const move = fc.oneof(
  {
    arbitrary: fc.record({ do: fc.constant('join' as const), user: fc.constantFrom(...USERS), fixed: fc.boolean() }),
    weight: 4,
  },
  { arbitrary: fc.record({ do: fc.constant('target' as const), pick, node: fc.nat({ max: 2 }) }), weight: 5 },
  { arbitrary: fc.record({ do: fc.constant('open' as const), pick, main: fc.boolean() }), weight: 4 },
  fc.record({ do: fc.constant('fail' as const), pick, uncertain: fc.boolean() }),
  fc.record({ do: fc.constant('recover' as const) }),
  { arbitrary: fc.record({ do: fc.constant('listen' as const), pick }), weight: 4 },
  {
    arbitrary: fc.record({ do: fc.constant('listening' as const), pick, fails: fc.boolean(), uncertain: fc.boolean() }),
    weight: 4,
  },
  { arbitrary: fc.record({ do: fc.constant('leave' as const), pick, listener: fc.boolean() }), weight: 3 },
  // Of a session that is to take another one's place: the request alone, and all of it in one go.
  { arbitrary: fc.record({ do: fc.constant('replace' as const), pick }), weight: 3 },
  {
    arbitrary: fc.record({
      do: fc.constant('move' as const),
      pick,
      node: fc.nat({ max: 2 }),
      listens: fc.boolean(),
      leaves: fc.boolean(),
    }),
    weight: 5,
  },
  { arbitrary: fc.record({ do: fc.constant('leave-whole' as const), pick }), weight: 1 },
  fc.record({ do: fc.constant('live' as const), pick, start: fc.boolean() }),
  {
    arbitrary: fc.record({
      do: fc.constant('say' as const),
      pick,
      said: fc.constantFrom('connected', 'silent', 'closed'),
      goodbye: fc.boolean(),
    }),
    weight: 3,
  },
  fc.record({ do: fc.constant('relink' as const), node: fc.nat({ max: 2 }), restarted: fc.boolean() }),
  fc.record({ do: fc.constant('lose' as const), node: fc.nat({ max: 2 }) }),
  {
    // All of it in one go, or few would ever be there together.
    arbitrary: fc.record({
      do: fc.constant('enter' as const),
      user: fc.constantFrom(...USERS),
      node: fc.nat({ max: 2 }),
      main: fc.boolean(),
      listens: fc.boolean(),
    }),
    weight: 8,
  },
  {
    arbitrary: fc.record({
      do: fc.constant('relay' as const),
      pick,
      ends: fc.constantFrom('well', 'above', 'below', 'late'),
    }),
    weight: 6,
  },
  {
    arbitrary: fc.record({
      do: fc.constant('relayed' as const),
      pick,
      said: fc.constantFrom('connected', 'silent', 'closed'),
    }),
    weight: 4,
  },
  fc.record({ do: fc.constant('watch' as const), node: fc.nat({ max: 2 }), stays: fc.boolean() }),
  fc.record({ do: fc.constant('mute' as const), pick }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.oneof(fc.nat({ max: 2_000 }), fc.nat({ max: 70_000 })) }),
);
export type Move = typeof move extends fc.Arbitrary<infer T> ? T : never;
