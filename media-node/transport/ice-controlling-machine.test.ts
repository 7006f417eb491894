import { expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import {
  CONSENT_EXPIRY_MS,
  type ControllingEffect,
  type ControllingEvent,
  type ControllingState,
  type DialledAddress,
  openControlling,
  PROBE_AFTER_MS,
  step,
} from './ice-controlling-machine.ts';

const FIRST: DialledAddress = { address: '192.0.2.1', port: 8840, family: 4 };
const SECOND: DialledAddress = { address: '2001:db8::1', port: 8840, family: 6 };
const TICK_MS = 50;

/** An agent whose checks some addresses answer, 10 ms later. */
class World {
  state: ControllingState;
  nowMs = 0;
  heardMs = 0;
  readonly checks: { atMs: number; to: DialledAddress; useCandidate: boolean; number: number }[] = [];
  readonly log: string[] = [];
  answers: (to: DialledAddress) => boolean = () => true;

  constructor(candidates: readonly DialledAddress[]) {
    this.state = openControlling(candidates, 0);
  }

  say(event: ControllingEvent): readonly ControllingEffect[] {
    const { state, effects } = step(this.state, event, this.nowMs);
    this.state = state;
    for (const effect of effects) {
      if (effect.type === 'check') this.checks.push({ atMs: this.nowMs, ...effect });
      else if (effect.type === 'consent-lost') this.log.push('consent-lost');
      else if (effect.type !== 'forgotten') this.log.push(`${effect.type} ${effect.to.address}`);
    }
    return effects;
  }

  run(ms: number, random = 0.5): void {
    for (const endMs = this.nowMs + ms; this.nowMs < endMs; this.nowMs += TICK_MS) {
      const effects = this.say({ type: 'time-passed', heardMs: this.heardMs, random });
      for (const effect of effects) this.#answer(effect, random);
    }
  }

  #answer(effect: ControllingEffect, random: number): void {
    if (effect.type !== 'check' || !this.answers(effect.to)) return;
    const { number } = effect;
    this.heardMs = this.nowMs;
    for (const next of this.say({ type: 'answered', number, ...effect.to, random })) this.#answer(next, random);
  }
}

test('the first candidate that answers is nominated by a check of its own', () => {
  const world = new World([FIRST, SECOND]);

  world.run(TICK_MS);

  expect(world.log).toEqual(['working 192.0.2.1', 'nominated 192.0.2.1']);
  expect(world.checks.map(({ useCandidate }) => useCandidate)).toEqual([false, true]);
});

test('candidates are begun 50 ms apart and repeated ever more seldom; one that never answers does no harm', () => {
  const world = new World([FIRST, SECOND]);
  world.answers = (to) => to === SECOND && world.nowMs >= 1_000;

  world.run(3_000);

  const at = (to: DialledAddress): number[] => world.checks.filter((check) => check.to === to).map(({ atMs }) => atMs);
  expect(at(FIRST).slice(0, 4)).toEqual([0, 100, 300, 700]);
  expect(at(SECOND).slice(0, 4)).toEqual([50, 150, 350, 750]);
  expect(world.log).toEqual(['working 2001:db8::1', 'nominated 2001:db8::1']);
});

test('a pair whose nomination is never answered makes room for another one that works', () => {
  const world = new World([FIRST, SECOND]);
  let firstAnswers = 1;
  world.answers = (to) => (to === FIRST ? firstAnswers-- > 0 : true);

  world.run(10_000);

  expect(world.log).toEqual(['working 192.0.2.1', 'working 2001:db8::1', 'nominated 2001:db8::1']);
});

test.each([
  ['its source port', { ...FIRST, port: 1 }],
  ['its source address', { ...FIRST, address: '192.0.2.9' }],
])('an answer from elsewhere counts for nothing: %s', (_, from) => {
  const world = new World([FIRST]);
  world.answers = () => false;
  world.run(TICK_MS);

  const effects = world.say({ type: 'answered', number: 1, ...from, random: 0.5 });

  expect(effects).toEqual([]);
  expect(world.log).toEqual([]);
});

test('consent is asked for every 4 to 6 s while the peer is heard', () => {
  const world = new World([FIRST]);
  world.run(TICK_MS);
  const before = world.checks.length;

  for (let i = 0; i < 1_200; i++) {
    world.heardMs = world.nowMs;
    world.run(TICK_MS, (i % 10) / 10);
  }

  const times = world.checks.slice(before - 1).map(({ atMs }) => atMs);
  const gaps = times.slice(1).map((atMs, index) => atMs - (times[index] ?? 0));
  expect(gaps.length).toBeGreaterThanOrEqual(10);
  for (const gap of gaps) expect(gap).toBeGreaterThanOrEqual(4_000);
  for (const gap of gaps) expect(gap).toBeLessThanOrEqual(6_000 + TICK_MS);
  // A lite agent follows no other checks to where a NAT may have put us.
  expect(world.checks.slice(before).every(({ useCandidate }) => useCandidate)).toBe(true);
});

test('silence is looked into at once, and ends in lost consent', () => {
  const world = new World([FIRST]);
  world.run(TICK_MS);
  world.answers = () => false;
  const before = world.checks.length;

  world.run(3_000);
  const probes = world.checks.slice(before).map(({ atMs }) => atMs);
  world.run(CONSENT_EXPIRY_MS);

  expect(probes[0]).toBeLessThanOrEqual(PROBE_AFTER_MS + TICK_MS);
  expect(probes.length).toBeGreaterThanOrEqual(4);
  expect(world.log.filter((line) => line === 'consent-lost')).toHaveLength(1);
});

test('whatever is lost: one nomination at most, no check after lost consent, and nothing grows', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.integer({ min: 1, max: 40 }), fc.boolean(), fc.boolean()), { maxLength: 40 }),
      (course) => {
        const world = new World([FIRST, SECOND]);
        for (const [turns, first, second] of course) {
          world.answers = (to) => (to === FIRST ? first : second);
          world.run(turns * TICK_MS);
          expect(world.state.sent.length).toBeLessThan(64);
        }
        expect(world.log.filter((line) => line.startsWith('nominated')).length).toBeLessThanOrEqual(1);
      },
    ),
  );
});
