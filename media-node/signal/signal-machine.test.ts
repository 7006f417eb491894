import { describe, expect, it } from 'vitest';
import {
  openSignal,
  RESEND_MS,
  type SignalEffect,
  type SignalEvent,
  type SignalState,
  step,
} from './signal-machine.ts';

/** The machine with a shell that makes offers `offer 1`, `offer 2`, … and takes every answer but `bad`. */
class Shell {
  state: SignalState = openSignal();
  nowMs = 0;
  /** Does the listener lack something? */
  changed = true;
  readonly sent: string[] = [];
  readonly mutes: SignalEffect[] = [];
  #made = 0;

  say(...events: SignalEvent[]): this {
    for (const event of events) {
      const { state, effects } = step(this.state, event, this.nowMs);
      this.state = state;
      for (const effect of effects) this.#run(effect);
    }
    return this;
  }

  #run(effect: SignalEffect): void {
    if (effect.type === 'make-offer') {
      this.say({ type: 'offer-made', sdp: this.changed ? `offer ${++this.#made}` : null });
    } else if (effect.type === 'apply-answer') {
      this.say({ type: 'answer-applied', accepted: effect.sdp !== 'bad' });
    } else if (effect.type === 'send-offer') this.sent.push(`${effect.id}: ${effect.number} ${effect.sdp}`);
    else if (effect.type === 'send-mute') this.sent.push(`${effect.id}: mute ${effect.mid} ${effect.muted}`);
    else this.mutes.push(effect);
  }
}

const answer = (number: number, sdp = 'good'): SignalEvent => ({ type: 'answer-received', number, sdp });

/** A listener with offer 1 in flight. */
function listening(): Shell {
  return new Shell().say(
    { type: 'channel-opened' },
    { type: 'listener-offered' },
    { type: 'tracks-changed' },
    { type: 'listener-settled' },
  );
}

describe('numbers', () => {
  it('begin with 0 over HTTP; nothing is offered before its answer', () => {
    const shell = new Shell().say({ type: 'channel-opened' }, { type: 'listener-offered' }, { type: 'tracks-changed' });
    expect(shell.say(answer(0)).sent).toEqual([]);
    expect(shell.say({ type: 'listener-settled' }).sent).toEqual(['1: 1 offer 1']);
  });

  it('grow by one with each offer, and start anew with a new listener', () => {
    const shell = listening().say(answer(1), { type: 'tracks-changed' }, answer(2), { type: 'listener-closed' });
    shell.say({ type: 'tracks-changed' }, { type: 'listener-offered' }, { type: 'listener-settled' });
    expect(shell.sent).toEqual(['1: 1 offer 1', '2: 2 offer 2', '3: 1 offer 3']);
  });

  it('are not used up by changes that cancel out', () => {
    const shell = listening().say(answer(1));
    shell.changed = false;
    shell.say({ type: 'tracks-changed' });
    shell.changed = true;
    expect(shell.say({ type: 'tracks-changed' }).sent.at(-1)).toBe('2: 2 offer 2');
  });
});

describe('one offer in flight', () => {
  it('gathers what changes meanwhile into the next one', () => {
    const shell = listening().say({ type: 'tracks-changed' }, { type: 'tracks-changed' });
    expect(shell.sent).toHaveLength(1);
    expect(shell.say(answer(1)).sent).toEqual(['1: 1 offer 1', '2: 2 offer 2']);
    expect(shell.say(answer(2)).sent).toHaveLength(2);
  });

  it.each([
    ['late', 0],
    ['early', 6],
  ])('a %s answer is ignored, and the right one still taken', (_, number) => {
    const shell = listening().say({ type: 'tracks-changed' }, answer(number));
    expect([shell.sent.length, shell.state.noise.stale]).toEqual([1, 1]);
    expect(shell.say(answer(1)).sent).toHaveLength(2);
  });

  it('the same answer twice counts once', () => {
    const shell = listening().say({ type: 'tracks-changed' }, answer(1), answer(1));
    expect([shell.sent.length, shell.state.noise.stale]).toEqual([2, 1]);
  });

  it('a bad answer leaves it in flight', () => {
    const shell = listening().say({ type: 'tracks-changed' }, answer(1, 'bad'));
    expect([shell.sent.length, shell.state.noise.refused]).toEqual([1, 1]);
    expect(shell.say(answer(1)).sent).toHaveLength(2);
  });

  it('is sent again, unchanged, when nobody answers', () => {
    const shell = listening();
    shell.nowMs = RESEND_MS - 1;
    expect(shell.say({ type: 'time-passed' }).sent).toHaveLength(1);
    shell.nowMs = RESEND_MS;
    expect(shell.say({ type: 'time-passed' }, { type: 'time-passed' }).sent).toEqual(['1: 1 offer 1', '1: 1 offer 1']);
    // It says how tracks were muted when it was made.
    expect(shell.mutes).toEqual([{ type: 'repeat-mutes' }]);
    shell.nowMs = 3 * RESEND_MS;
    expect(shell.say(answer(1), { type: 'time-passed' }).sent).toHaveLength(2);
  });
});

describe('the channel', () => {
  it('is waited for', () => {
    const shell = new Shell().say({ type: 'listener-offered' }, { type: 'listener-settled' });
    expect(shell.sent).toEqual([]);
    expect(shell.say({ type: 'channel-opened' }).sent).toEqual(['1: 1 offer 1']);
  });

  it('when it is a new one, gets the offer in flight again and how the tracks are muted', () => {
    const shell = listening().say({ type: 'channel-closed' }, { type: 'tracks-changed' });
    shell.nowMs = 5 * RESEND_MS;
    expect(shell.say({ type: 'time-passed' }).sent).toHaveLength(1);
    shell.say({ type: 'channel-opened' });
    expect(shell.sent).toEqual(['1: 1 offer 1', '1: 1 offer 1']);
    expect(shell.mutes).toEqual([{ type: 'repeat-mutes' }]);
    expect(shell.say(answer(1)).sent.at(-1)).toBe('2: 2 offer 2');
  });
});

describe('mute', () => {
  it('of the member is passed on', () => {
    const shell = listening().say({ type: 'mute-received', mid: '3', muted: true });
    expect(shell.mutes).toEqual([{ type: 'mute', mid: '3', muted: true }]);
  });

  it('of another reaches a listener on its channel, with an id of its own', () => {
    expect(listening().say({ type: 'track-muted', mid: '7', muted: true }).sent.at(-1)).toBe('2: mute 7 true');
    expect(new Shell().say({ type: 'channel-opened' }, { type: 'track-muted', mid: '7', muted: true }).sent).toEqual(
      [],
    );
  });
});

it('offers of members and what is no message are counted, and nothing else', () => {
  const shell = listening();
  const before = shell.state;
  shell.say({ type: 'offer-received' }, { type: 'malformed-received' }, { type: 'malformed-received' });
  expect(shell.state).toEqual({ ...before, noise: { malformed: 2, stale: 0, offers: 1, refused: 0, mutes: 0 } });
});

describe('a node that is about to leave', () => {
  const askedIn = (shell: Shell): number => shell.mutes.filter(({ type }) => type === 'send-reconnect').length;

  it('asks the member on its channel, with a number of its own', () => {
    const shell = new Shell().say({ type: 'channel-opened' }, { type: 'move-asked' });

    expect(shell.mutes).toEqual([{ type: 'send-reconnect', id: 1 }]);
    expect(shell.state.nextId).toBe(2);
  });

  it('asks when the channel opens later, and again on each that takes its place', () => {
    const shell = new Shell().say({ type: 'move-asked' });
    expect(askedIn(shell)).toBe(0);

    shell.say({ type: 'channel-opened' }, { type: 'channel-closed' }, { type: 'channel-opened' });

    expect(askedIn(shell)).toBe(2);
  });
});
