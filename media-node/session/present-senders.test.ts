import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { mintSessionId } from '../../shared/ids.ts';
import type { Lineage } from '../../shared/protocol/control.ts';
import { PresentSenders, presentSenders, type Sender } from './present-senders.ts';

interface FakeSender extends Sender {
  sending: boolean;
  shows: boolean;
}

let generation = 0;
function session(lineage?: Lineage, changes: Partial<FakeSender> = {}): FakeSender {
  const id = mintSessionId();
  generation += 1;
  const first = lineage ?? { session: id, generation };
  return { id, generation, lineage: first, sending: true, shows: true, tracks: [], ...changes };
}

const one = session();
const two = session();

describe('of the sessions of one member', () => {
  it.each([
    ['the newest that shows something', true, true, true, true, 'next'],
    ['the former, until then', true, true, true, false, 'old'],
    ['the former, if neither does', true, false, true, false, 'old'],
    ['the newest, if the former does not send any more', false, false, true, false, 'next'],
    ['the former, before the new one is connected', true, true, false, false, 'old'],
    ['the former again, when the new one fell silent', true, true, true, false, 'old'],
    ['none, if none sends', false, false, false, false, 'none'],
  ])('the others get %s', (_, oldSends, oldShows, nextSends, nextShows, expected) => {
    const old = session(undefined, { sending: oldSends, shows: oldShows });
    const next = session(old.lineage, { sending: nextSends, shows: nextShows });
    const present = presentSenders([next, two, old, one]);
    expect(present.slice(0, 2)).toEqual([one, two]);
    expect(present[2]).toBe({ old, next, none: undefined }[expected]);
  });

  it('each keeps the place among the others that the first had', () => {
    const moved = session(one.lineage);
    expect(presentSenders([two, moved])).toEqual([moved, two]);
  });
});

describe('a session that is to take the place of another', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('is looked at until it shows something, and then no more', () => {
    const next = session(one.lineage, { shows: false });
    const onChange = vi.fn(() => void present.settle());
    const present = new PresentSenders({ all: () => [one, next], onChange });
    present.settle();
    vi.advanceTimersByTime(1_000);
    expect([present.all, onChange.mock.calls.length]).toEqual([[one], 0]);
    next.shows = true;
    vi.advanceTimersByTime(20);
    expect([present.all, onChange.mock.calls.length, vi.getTimerCount()]).toEqual([[next], 1, 0]);
  });

  it('says what is muted from then on, and the former one nothing any more', () => {
    const track = (muted: boolean) => ({ key: 'k', info: { purpose: 'guest', muted, label: 'Cam' } }) as never;
    const old = session(undefined, { tracks: [track(false)] });
    const next = session(old.lineage, { tracks: [track(true)], shows: false });
    const present = new PresentSenders({ all: () => [old, next], onChange: () => {} });
    expect(present.settle()).toEqual([]);
    expect([present.noteMute(next, track(true)), present.noteMute(old, track(false))]).toEqual([false, true]);
    next.shows = true;
    expect(present.settle()).toEqual([{ sender: next, track: track(true) }]);
    expect(present.settle()).toEqual([]);
    expect(present.noteMute(old, track(false))).toBe(false);
    present.close();
  });
});
