import { describe, expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import {
  type IceEffect,
  type IceState,
  MAX_PROVEN_ADDRESSES,
  openIce,
  type PeerAddress,
  step,
} from './ice-lite-machine.ts';
import { parseBindingRequest } from './stun.ts';
import { type CheckOptions, readStun, stunCheck } from './testing/stun-check.ts';

const OURS = { ufrag: 'ouruuufrag', pwd: 'our-password-of-24-chars' };
const NEWER = { ufrag: 'newerufrag', pwd: 'newer-password-of-24-chr' };
const A: PeerAddress = { address: '192.0.2.1', port: 1000, socket: 0 };
const B: PeerAddress = { address: '192.0.2.2', port: 2000, socket: 0 };

function check(
  state: IceState,
  from: PeerAddress,
  options: Partial<CheckOptions> = {},
  inUse: PeerAddress | null = null,
) {
  const request = parseBindingRequest(stunCheck({ username: `${OURS.ufrag}:theirs`, password: OURS.pwd, ...options }));
  if (request === null) throw new Error('not a request');
  const { state: next, effects } = step(state, { type: 'check', request, from, inUse });
  const reply = effects.find((effect) => effect.type === 'reply');
  return { state: next, effects, types: effects.map(({ type }) => type), reply: reply && readStun(reply.datagram) };
}

function uses(credentials: { ufrag: string; pwd: string }): Partial<CheckOptions> {
  return { username: `${credentials.ufrag}:x`, password: credentials.pwd };
}

describe('a check', () => {
  test('is answered, and proves the address', () => {
    const { types, reply, state } = check(openIce(OURS), A);

    expect(types).toEqual(['reply', 'proved']);
    expect(reply?.type).toBe(0x0101);
    expect(state.nominated).toBeNull();
    expect(state.proven).toEqual([A]);
  });

  test('with USE-CANDIDATE nominates even without PRIORITY and ICE-CONTROLLING (FFmpeg 8.0)', () => {
    const { types, state } = check(openIce(OURS), A, { useCandidate: true });

    expect(types).toEqual(['reply', 'proved', 'nominated']);
    expect(state.nominated).toEqual(A);
  });

  test.each([
    ['no peer part in the user name', OURS.ufrag],
    ['another peer part', `${OURS.ufrag}:stranger`],
  ])('with %s is accepted', (_name, username) => {
    expect(check(openIce(OURS), A, { username }).types).toContain('proved');
  });

  test.each<[string, Partial<CheckOptions>, number]>([
    ['no MESSAGE-INTEGRITY', { password: null }, 400],
    ['no USERNAME', { username: null }, 400],
    ['a wrong password', { password: 'wrong' }, 401],
    ['an unknown user', { username: 'other:x' }, 401],
    ['an unknown required attribute', { extra: [[0x7abc, Buffer.alloc(3)]] }, 420],
    ['ICE-CONTROLLED', { iceControlled: true }, 487],
  ])('with %s is refused and changes nothing', (_name, options, code) => {
    const before = openIce(OURS);

    const { types, reply, state } = check(before, A, { useCandidate: true, ...options });

    expect(types).toEqual(['reply']);
    expect(reply?.errorCode).toBe(code);
    // Only who authenticated gets an authenticated answer.
    expect(reply?.attributes.has(0x0008)).toBe(code === 420 || code === 487);
    expect(state).toBe(before);
  });

  test('with an unknown optional attribute is accepted', () => {
    expect(check(openIce(OURS), A, { extra: [[0xc057, Buffer.alloc(4)]] }).types).toContain('proved');
  });
});

describe('nomination', () => {
  test('moves with the peer', () => {
    const first = check(openIce(OURS), A, { useCandidate: true });
    const second = check(first.state, B, { useCandidate: true });
    const repeated = check(second.state, B, { useCandidate: true });

    expect(second.state.nominated).toEqual(B);
    expect(second.types).toContain('nominated');
    expect(repeated.types).toEqual(['reply', 'proved']);
  });

  test('the same address on another socket is another one', () => {
    const first = check(openIce(OURS), A, { useCandidate: true });
    expect(check(first.state, { ...A, socket: 1 }, { useCandidate: true }).types).toContain('nominated');
  });

  test('proofs are bounded, and the nominated one stays', () => {
    let state = check(openIce(OURS), A, { useCandidate: true }).state;
    const forgotten: IceEffect[] = [];
    for (let port = 1; port <= 3 * MAX_PROVEN_ADDRESSES; port++) {
      const result = check(state, { ...B, port });
      state = result.state;
      forgotten.push(...result.effects.filter(({ type }) => type === 'forgotten'));
    }
    expect(state.proven).toHaveLength(MAX_PROVEN_ADDRESSES);
    expect(state.proven).toContainEqual(A);
    expect(forgotten).toHaveLength(1 + 3 * MAX_PROVEN_ADDRESSES - MAX_PROVEN_ADDRESSES);
  });
});

describe('a restart', () => {
  const connected = check(openIce(OURS), A, { useCandidate: true }).state;
  const { state: restarted, effects } = step(connected, { type: 'restart', local: NEWER });

  test('keeps the old pair until the new credentials are nominated', () => {
    expect(effects).toEqual([{ type: 'opened', ufrag: NEWER.ufrag }]);
    expect(restarted.nominated).toEqual(A);
    expect(check(restarted, A).reply?.type).toBe(0x0101);

    const proved = check(restarted, B, uses(NEWER));
    expect(proved.state.nominated).toEqual(A);

    const nominated = check(proved.state, B, { ...uses(NEWER), useCandidate: true });
    expect(nominated.state.nominated).toEqual(B);
    expect(nominated.effects).toContainEqual({ type: 'retired', ufrag: OURS.ufrag });
    expect(check(nominated.state, A).reply?.errorCode).toBe(401);
  });

  test('to the same address retires the old credentials, too', () => {
    const { types } = check(restarted, A, { ...uses(NEWER), useCandidate: true });
    expect(types).toEqual(['reply', 'proved', 'retired']);
  });

  test('during a restart drops the credentials in between', () => {
    const third = { ufrag: 'third-ufrag', pwd: 'third-password-of-24-chr' };
    const again = step(restarted, { type: 'restart', local: third });

    expect(again.effects).toEqual([
      { type: 'opened', ufrag: third.ufrag },
      { type: 'retired', ufrag: NEWER.ufrag },
    ]);
    expect(check(again.state, A).reply?.type).toBe(0x0101);
    expect(check(again.state, A, uses(third)).reply?.type).toBe(0x0101);
  });
});

test('whatever comes: opened and retired balance, proofs and nomination stay consistent', () => {
  const event = fc.record({
    kind: fc.constantFrom('check', 'restart'),
    port: fc.integer({ min: 1, max: 20 }),
    useCandidate: fc.boolean(),
    generation: fc.nat(4),
    inUse: fc.integer({ min: 1, max: 20 }),
  });
  fc.assert(
    fc.property(fc.array(event, { maxLength: 40 }), (events) => {
      const generations = [OURS];
      let state = openIce(OURS);
      const open = new Set([OURS.ufrag]);
      const table = new Set<number>();
      for (const { kind, port, useCandidate, generation, inUse } of events) {
        let taken: readonly IceEffect[];
        if (kind === 'restart') {
          const local = { ufrag: `u${generations.length}`, pwd: `p${generations.length}` };
          generations.push(local);
          ({ state, effects: taken } = step(state, { type: 'restart', local }));
        } else {
          const credentials = generations.at(-1 - (generation % generations.length)) ?? OURS;
          const options = { ...uses(credentials), useCandidate };
          const wasThere = table.has(inUse);
          ({ state, effects: taken } = check(state, { ...A, port }, options, { ...A, port: inUse }));
          if (wasThere) expect(taken).not.toContainEqual({ type: 'forgotten', address: { ...A, port: inUse } });
        }
        for (const effect of taken) {
          if (effect.type === 'opened') open.add(effect.ufrag);
          if (effect.type === 'retired') expect(open.delete(effect.ufrag)).toBe(true);
          if (effect.type === 'proved') table.add(effect.address.port);
          if (effect.type === 'forgotten') expect(table.delete(effect.address.port)).toBe(true);
        }
      }
      const expected = [state.current, state.previous].flatMap((credentials) => credentials?.ufrag ?? []);
      expect([...open].sort()).toEqual(expected.sort());
      expect([...table].sort()).toEqual(state.proven.map(({ port }) => port).sort());
      if (state.nominated !== null) expect(table).toContain(state.nominated.port);
    }),
    { numRuns: 300 },
  );
});
