import { describe, expect, test } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import { type AnswerEffect, type AnswerEvent, type AnswerMachine, INITIAL_ANSWERS, step } from './answer-machine.ts';

function offer(number: number, id = number * 10): AnswerEvent {
  return { kind: 'offer', id, number, sdp: `offer ${number}` };
}

function applied(number: number): AnswerEvent {
  return { kind: 'applied', answer: `answer ${number}` };
}

function run(...events: AnswerEvent[]): { state: AnswerMachine; effects: string[] } {
  const effects: string[] = [];
  let state = INITIAL_ANSWERS;
  for (const event of events) {
    const next = step(state, event);
    state = next.state;
    effects.push(...next.effects.map(shorten));
  }
  return { state, effects };
}

function shorten(effect: AnswerEffect): string {
  return effect.kind === 'apply' ? `apply ${effect.number}` : `send ${effect.sdp} for ${effect.number} to ${effect.id}`;
}

describe('the member’s half of the negotiation', () => {
  test.each<[string, AnswerEvent[], string[]]>([
    ['an offer is applied, then answered', [offer(1), applied(1)], ['apply 1', 'send answer 1 for 1 to 10']],
    [
      'a repeated offer gets the same answer, under its own message id, and is not applied again',
      [offer(1), applied(1), offer(1, 77)],
      ['apply 1', 'send answer 1 for 1 to 10', 'send answer 1 for 1 to 77'],
    ],
    [
      'a repetition while at work is answered once, under the newer id',
      [offer(1), offer(1, 77), applied(1)],
      ['apply 1', 'send answer 1 for 1 to 77'],
    ],
    [
      'an older number is ignored',
      [offer(2), applied(2), offer(1), offer(0)],
      ['apply 2', 'send answer 2 for 2 to 20'],
    ],
    [
      'an older number is ignored while a newer one is at work',
      [offer(2), offer(1), applied(2)],
      ['apply 2', 'send answer 2 for 2 to 20'],
    ],
    [
      'of those that come meanwhile only the newest is applied',
      [offer(1), offer(2), offer(4), offer(3), applied(1), applied(4)],
      ['apply 1', 'send answer 1 for 1 to 10', 'apply 4', 'send answer 4 for 4 to 40'],
    ],
    [
      'what the browser refused is tried again when it is repeated',
      [offer(1), { kind: 'refused' }, offer(1, 77), applied(1)],
      ['apply 1', 'apply 1', 'send answer 1 for 1 to 77'],
    ],
    [
      'a refusal makes way for the one that waits',
      [offer(1), offer(2), { kind: 'refused' }, applied(2)],
      ['apply 1', 'apply 2', 'send answer 2 for 2 to 20'],
    ],
    ['nothing is sent for nothing', [applied(1), { kind: 'refused' }], []],
  ])('%s', (_name, events, expected) => {
    expect(run(...events).effects).toEqual(expected);
  });

  test('numbers only grow, one is at work at a time, and the newest offer is always answered in the end', () => {
    const anyEvent = fc.oneof(
      fc
        .record({ number: fc.integer({ min: 0, max: 12 }), id: fc.nat(999) })
        .map(({ number, id }) => offer(number, id)),
      fc.constantFrom<'applied' | 'refused'>('applied', 'refused'),
    );
    fc.assert(
      fc.property(fc.array(anyEvent, { maxLength: 60 }), (events) => {
        let state = INITIAL_ANSWERS;
        let lastApplied = 0;
        let newest = 0;
        const feed = (event: AnswerEvent) => {
          const before = state;
          const next = step(state, event);
          state = next.state;
          for (const effect of next.effects) {
            if (effect.kind === 'apply') {
              expect(before.working === null || event.kind !== 'offer').toBe(true);
              expect(effect.number).toBeGreaterThan(state.answered);
              lastApplied = effect.number;
            } else {
              expect(effect.number).toBe(state.answered);
              expect(effect.sdp).toBe(state.answer);
            }
          }
        };
        for (const event of events) {
          if (event === 'refused') feed({ kind: 'refused' });
          else if (event === 'applied') feed({ kind: 'applied', answer: `answer ${state.working?.number}` });
          else {
            if (event.kind === 'offer') newest = Math.max(newest, event.number);
            feed(event);
          }
        }
        // The server repeats what is not answered.
        for (let round = 0; round < 3 && newest > 0; round += 1) {
          feed(offer(newest));
          if (state.working !== null) feed({ kind: 'applied', answer: `answer ${state.working.number}` });
        }
        expect(state.answered).toBe(newest);
        expect(lastApplied).toBe(newest);
        expect(state.working).toBeNull();
      }),
    );
  });
});
