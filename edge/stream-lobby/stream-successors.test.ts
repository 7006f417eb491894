import { describe, expect, it } from 'vitest';
import { mintSessionId, type SessionId } from '../../shared/ids.ts';
import { placesWanting } from './stream-places.ts';
import { desiredOn, lineageOf, nextDeadline } from './stream-state.ts';
import { HANDOVER_MS, SUCCESSOR_DEADLINE_MS } from './stream-successors.ts';
import { applies, GRACE_MS, LIVE_URL, LOBBY, LobbyUnderTest, MAIN_TRACK, NODE_A, NODE_B } from './stream-under-test.ts';

/** One member on A, who listens. */
function alone() {
  const room = new LobbyUnderTest();
  const old = room.enter('u1');
  room.listen(old);
  room.effects = [];
  return { room, old };
}

/** Answered on B, and not connected yet. */
function moving() {
  const { room, old } = alone();
  const next = room.join('u1', { replaces: old, carrier: NODE_B });
  return { room, old, next };
}

/** The new session is connected, the old one is still there. */
function moved() {
  const { room, old, next } = moving();
  room.report(next, 'connected', {}, NODE_B);
  return { room, old, next };
}

const sessions = ({ state }: LobbyUnderTest): SessionId[] => (state?.members ?? []).map(({ session }) => session);

describe('a session that replaces another', () => {
  it('is opened beside it and stays when that one is left; the member is the same to nodes', () => {
    const { room, old, next } = moved();
    expect(sessions(room)).toEqual([old, next]);
    const first = room.member(old);
    expect(first && lineageOf(first)).toEqual(room.member(next)?.lineage);

    room.feed({ type: 'leave', session: old });
    expect(sessions(room)).toEqual([next]);
    expect(room.member(next)).toMatchObject({
      replaces: null,
      lineage: { session: old, generation: first?.generation },
    });
    expect(applies(room.effects).at(-1)).toMatchObject({ ...NODE_A, desired: { members: [] } });
  });

  it('keeps the lineage over further moves', () => {
    const { room, old, next } = moved();
    room.feed({ type: 'leave', session: old });
    const third = room.enter('u1', { replaces: next });
    expect(room.member(third)?.lineage?.session).toBe(old);
  });

  it.each([
    ['without the header', 'u1', () => null, 409],
    ['of somebody else', 'u2', ({ old }: { old: SessionId }) => old, 403],
    ['that is gone', 'u1', () => mintSessionId(), 404],
  ])('%s it is refused, and nothing changes', (_, user, replaces, status) => {
    const { room, old } = alone();
    const before = room.state;
    expect(room.begin(user, mintSessionId(), false, replaces({ old })).refusal?.status).toBe(status);
    expect(room.state).toBe(before);
  });

  it('is refused to a machine for a human’s session, and to a user who was sent out', () => {
    const { room, old } = alone();
    room.enter('u2');
    expect(room.begin('u1', mintSessionId(), true, old).refusal?.status).toBe(403);
    room.feed({ type: 'keep', users: ['u2'] });
    expect(room.begin('u1', mintSessionId(), false, old).refusal?.status).toBe(404);
  });

  it('a second one without the header is 409 also while somebody moves', () => {
    const { room } = moving();
    expect(room.begin('u1').refusal?.code).toBe('session_exists');
  });

  it('asked for again: the try before is dropped', () => {
    const { room, old, next } = moving();
    const again = room.join('u1', { replaces: old, carrier: NODE_B });
    expect(sessions(room)).toEqual([old, again]);
    expect(
      applies(room.effects).some(({ desired, node }) => node === NODE_B.node && desired.members.length === 0),
    ).toBe(true);
    expect(room.begin('u1', mintSessionId(), false, next).refusal?.status).toBe(404);
    // One that never stood is nothing to move away from: the one that carries the member stays.
    expect(room.begin('u1', mintSessionId(), false, again).refusal?.status).toBe(409);
    expect(sessions(room)).toEqual([old, again]);
  });
});

describe('nobody is there twice, and no ghost stays', () => {
  it.each([
    [
      'it cannot be opened',
      ({ room, next }: ReturnType<typeof opening>) =>
        room.feed({ type: 'open-failed', session: next, uncertain: true }),
    ],
    ['the edge restarts', ({ room }: ReturnType<typeof opening>) => room.feed({ type: 'recovered' })],
  ])('%s: the old one goes on as if nothing had been', (_, fail) => {
    const world = opening();
    fail(world);
    expect(sessions(world.room)).toEqual([world.old]);
    expect(applies(world.room.effects).at(-1)).toMatchObject({ ...NODE_B, desired: { members: [] } });
  });

  it('one that does not connect in time is dropped', () => {
    const { room, old } = moving();
    expect(nextDeadline(room.state)).toBe(room.now + SUCCESSOR_DEADLINE_MS);
    room.wait(SUCCESSOR_DEADLINE_MS);
    expect(sessions(room)).toEqual([old]);
  });

  it('one whose node dies is dropped; when the old one’s node dies, the new one has the place', () => {
    const one = moved();
    one.room.feed({ type: 'node-lost', ...NODE_B });
    expect(sessions(one.room)).toEqual([one.old]);

    const other = moving();
    other.room.feed({ type: 'node-lost', ...NODE_A });
    expect(sessions(other.room)).toEqual([other.next]);
    other.room.report(other.next, 'connected', {}, NODE_B);
    expect(other.room.member(other.next)).toMatchObject({ phase: 'live', replaces: null, deadline: null });
  });

  it('an old one that nobody leaves is ended when the new one has stood for a while, unless that has fallen silent', () => {
    const one = moved();
    expect(nextDeadline(one.room.state)).toBe(one.room.now + HANDOVER_MS);
    one.room.wait(HANDOVER_MS);
    expect(sessions(one.room)).toEqual([one.next]);
    expect(applies(one.room.effects).at(-1)).toMatchObject({ ...NODE_A, desired: { members: [] } });

    const other = moved();
    other.room.wait(HANDOVER_MS - GRACE_MS / 2);
    other.room.report(other.next, 'silent', {}, NODE_B);
    other.room.wait(GRACE_MS / 2);
    expect(sessions(other.room)).toEqual([other.old]);
  });

  it('while neither is heard, neither is ended for the other: whichever comes back within its grace has the place', () => {
    const outage = () => {
      const world = moved();
      world.room.wait(HANDOVER_MS - GRACE_MS / 2);
      world.room.report(world.old, 'silent');
      world.room.report(world.next, 'silent', {}, NODE_B);
      world.room.wait(GRACE_MS / 2);
      expect(sessions(world.room)).toEqual([world.old, world.next]);
      expect(nextDeadline(world.room.state)).toBeGreaterThan(world.room.now);
      return world;
    };
    const one = outage();
    one.room.report(one.next, 'connected', {}, NODE_B);
    one.room.wait(HANDOVER_MS);
    expect(sessions(one.room)).toEqual([one.next]);
    expect(one.room.member(one.next)).toMatchObject({ phase: 'live', replaces: null });

    const other = outage();
    other.room.report(other.old, 'connected');
    other.room.wait(HANDOVER_MS);
    expect(sessions(other.room)).toEqual([other.old]);

    const neither = outage();
    neither.room.wait(GRACE_MS);
    expect(neither.room.state).toBeNull();
  });

  it.each([
    ['DELETE', ({ room, old }: ReturnType<typeof moving>) => room.feed({ type: 'leave', session: old })],
    ['goodbye', ({ room, old }: ReturnType<typeof moving>) => room.report(old, 'closed', { reason: 'peer-closed' })],
    ['flood', ({ room, old }: ReturnType<typeof moving>) => room.report(old, 'closed', { reason: 'misconduct' })],
  ])('who leaves in the middle of it (%s) is gone for good', (_, leave) => {
    const world = moving();
    leave(world);
    expect(world.room.state).toBeNull();
    expect(applies(world.room.effects).some(({ node }) => node === NODE_B.node)).toBe(true);

    const early = opening();
    leave(early);
    expect(early.room.state).toBeNull();
    const late = { type: 'opened' as const, lobby: LOBBY, session: early.next, tracks: [], ...NODE_B };
    expect(early.room.feed(late).refusal?.code).toBe('lobby_closed');
  });

  it('an old one that falls silent for good leaves the new one, connected or not', () => {
    const { room, old, next } = moving();
    room.report(old, 'closed', { reason: 'silence' });
    expect(sessions(room)).toEqual([next]);
  });

  it('a listener proves that the new one stands, though its node has not said so yet', () => {
    const { room, old, next } = moving();
    room.listen(next);
    room.feed({ type: 'leave', session: old });
    expect(sessions(room)).toEqual([next]);
  });

  it('leaving with all sessions, by either of them', () => {
    for (const which of ['old', 'next'] as const) {
      const world = moved();
      world.room.feed({ type: 'leave', session: world[which], whole: true });
      expect(world.room.state).toBeNull();
    }
  });
});

describe('while there are two', () => {
  it('the cookie of the first and the token of either pass the guard, each in its own chain', () => {
    const { room, old, next } = moved();
    const guard = (presented: string, followedBy: string) =>
      room.feed({ type: 'guard', session: old, lobby: LOBBY, bearer: null, presented, next: followedBy }).refusal;
    expect(guard(`first-${next}`, 'n2')).toBeNull();
    expect(guard('first-u1', 'o2')).toBeNull();
    expect(guard('first-u1', 'o3')?.code).toBe('bad_request_token');
    expect([room.member(old)?.token?.hash, room.member(next)?.token?.hash]).toEqual(['o2', 'n2']);
    room.feed({ type: 'leave', session: old });
    expect(guard('n2', 'n3')).toBeNull();
    expect(guard('o2', 'o3')?.code).toBe('bad_request_token');
    room.feed({ type: 'leave', session: next });
    expect(guard('n3', 'n4')?.code).toBe('no_session');
  });

  it('nobody gets the own tracks by a relay; the others get those of both', () => {
    const { room, old, next } = moved();
    room.listen(next);
    const wanting = (session: SessionId) => {
      const member = room.member(session);
      return room.state && member ? placesWanting(room.state, member).map(({ node }) => node) : [];
    };
    expect([wanting(old), wanting(next)]).toEqual([[], []]);
    const other = room.enter('u2');
    room.listen(other);
    expect([wanting(old), wanting(next), wanting(other)]).toEqual([[], ['a'], ['b']]);
    expect(desiredOn(room.state, NODE_A)?.remotes).toMatchObject([
      { session: next, lineage: { session: old, generation: room.member(old)?.generation } },
    ]);
  });

  it('the push goes along when the new one has something to show, not sooner', () => {
    const draining = ({ room }: { room: LobbyUnderTest }) => {
      room.around = { ...room.around, draining: (node) => node === NODE_A.node };
    };
    const room = new LobbyUnderTest();
    const old = room.enter('u1', { tracks: [MAIN_TRACK] });
    room.feed({ type: 'start-live', session: old, live: 'l', url: LIVE_URL });
    draining({ room });
    const next = room.join('u1', { tracks: [MAIN_TRACK], replaces: old, carrier: NODE_B });
    expect(room.state?.live?.node).toEqual(NODE_A);
    room.report(next, 'connected', {}, NODE_B);
    expect(room.state?.live).toMatchObject({ node: NODE_B, live: 'l' });
    room.feed({ type: 'leave', session: old });
    expect(room.state?.live).toMatchObject({ node: NODE_B, live: 'l' });
  });
});

/** The offer has been sent to B. */
function opening() {
  const { room, old } = alone();
  const next = mintSessionId();
  room.begin('u1', next, false, old);
  room.feed({ type: 'targeted', session: next, ...NODE_B });
  return { room, old, next };
}
