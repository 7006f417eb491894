import { describe, expect, test } from 'vitest';
import { mintSessionId, type SessionId } from '../../shared/ids.ts';
import type { RelayReport } from '../../shared/protocol/control.ts';
import { type Carrier, isOn } from '../carrier.ts';
import { IDLE_GRACE_MS, relayOn } from '../relay/relay-tree.ts';

import type { StreamPull, StreamStep } from './stream-events.ts';
import { desiredOn, liveStatusOf, nextDeadline, streamRecordSchema } from './stream-state.ts';
import {
  AROUND,
  applies,
  GUEST_TRACK,
  LIVE_URL,
  LOBBY,
  LobbyUnderTest,
  MAIN_TRACK,
  NODE_A,
  NODE_A_RESTARTED,
  NODE_B,
  NODE_C,
} from './stream-under-test.ts';

/** A lobby in which all relays can be opened. */
class Spread extends LobbyUnderTest {
  pullsSince(before: number): StreamPull[] {
    return this.effects.slice(before).filter((effect) => effect.type === 'pull');
  }

  /** Enters and listens. */
  come(user: string, carrier: Carrier, tracks = [GUEST_TRACK]): SessionId {
    const session = this.enter(user, { carrier, tracks });
    this.listen(session);
    return session;
  }

  news(pull: StreamPull, type: 'offered' | 'pulled' | 'failed'): StreamStep {
    const { node, boot, hop, source } = pull;
    const about = { node, boot, generation: hop.generation };
    const news =
      type === 'offered'
        ? ({ type, ...about } as const)
        : type === 'pulled'
          ? ({ type, resumed: false, ...about } as const)
          : ({ type, at: 'downstream', final: false, ...about } as const);
    return this.feed({ type: 'relay', lobby: LOBBY, source: source.session, news });
  }

  said({ hop, ...at }: StreamPull, state: RelayReport['state'], idle = false): StreamStep {
    const { session, generation } = hop;
    const relays: RelayReport[] = [{ lobby: LOBBY, session, generation, state, idle }];
    return this.feed({ type: 'reported', ingress: [], lives: [], relays, node: at.node, boot: at.boot });
  }

  /** Everything that is asked for works, until nothing more is asked for. */
  connect(): void {
    const done = new Set<StreamPull>();
    for (;;) {
      const next = this.pullsSince(0).find((pull) => !done.has(pull) && this.isWanted(pull));
      if (next === undefined) return;
      done.add(next);
      this.news(next, 'offered');
      this.news(next, 'pulled');
      this.said(next, 'connected');
    }
  }

  isWanted({ source, hop, node, boot }: StreamPull): boolean {
    const relays = this.member(source.session)?.relays;
    const relay = relays ? relayOn(relays, { node, boot }) : null;
    return relay?.phase === 'offering' && relay.hop.generation === hop.generation;
  }

  remotes(carrier: Carrier): SessionId[] {
    return desiredOn(this.state, carrier)?.remotes?.map(({ session }) => session) ?? [];
  }
}

const told = (effects: StreamStep['effects'], carrier: Carrier) =>
  applies(effects).findLast((effect) => isOn(effect, carrier))?.desired;

/** One member on each of two nodes, who see each other. */
function two() {
  const room = new Spread();
  const [one, other] = [room.come('u1', NODE_A, [MAIN_TRACK]), room.come('u2', NODE_B)];
  room.connect();
  return { room, one, other };
}

describe('members on different nodes', () => {
  test('on one node nothing is asked for, whoever listens, watches and pushes', () => {
    const room = new Spread();
    const one = room.come('u1', NODE_A, [MAIN_TRACK]);
    room.come('u2', NODE_A);
    room.feed({ type: 'watched', ...NODE_A });
    expect(room.effects).toEqual([]);
    room.feed({ type: 'start-live', session: one, live: 'l1', url: LIVE_URL });
    expect(room.effects).toHaveLength(1);
    expect(desiredOn(room.state, NODE_A)).not.toHaveProperty('remotes');
    expect(desiredOn(room.state, NODE_A)).not.toHaveProperty('audience');
  });

  test('each node gets the others’ tracks once somebody listens there, by one relay', () => {
    const room = new Spread();
    const one = room.enter('u1', { carrier: NODE_A });
    const other = room.enter('u2', { carrier: NODE_B });
    room.enter('u3', { carrier: NODE_B, tracks: [] });
    expect(room.pullsSince(0)).toEqual([]);
    room.listen(other);
    expect(room.pullsSince(0)).toMatchObject([{ ...NODE_B, source: { session: one }, hop: { upstream: 'a' } }]);
    room.listen(one);
    expect(room.pullsSince(1)).toMatchObject([{ ...NODE_A, source: { session: other }, hop: { upstream: 'b' } }]);
    room.connect();
    expect([room.remotes(NODE_A), room.remotes(NODE_B)]).toEqual([[other], [one]]);
    expect(streamRecordSchema.parse(room.state)).toEqual(room.state);
    // Both are as the record says, and nothing is waited for.
    expect(nextDeadline(room.state)).toBeNull();
  });

  test('somebody who is just connecting is not shown yet', () => {
    const room = new Spread();
    room.come('u1', NODE_A);
    const session = room.join('u2', { carrier: NODE_B });
    expect(room.pullsSince(0)).toEqual([]);
    room.report(session, 'connected', {}, NODE_B);
    expect(room.pullsSince(0)).toMatchObject([{ ...NODE_A, source: { session } }]);
  });

  test('what a member says of its tracks is told on the other nodes, and only there', () => {
    const { room, one } = two();
    const muted = { ...MAIN_TRACK, info: { purpose: 'main' as const, muted: true, label: 'Cam' } };
    const listener = room.member(one)?.listener?.session ?? mintSessionId();
    const { effects } = room.report(one, 'connected', {
      tracks: [muted],
      listener: { session: listener, state: 'connected' },
    });
    expect(applies(effects).map(({ node }) => node)).toEqual(['b']);
    expect(told(effects, NODE_B)?.remotes).toMatchObject([{ session: one, tracks: [muted] }]);
  });

  test('who leaves takes the relays along; who stops to listen needs none', () => {
    const { room, one, other } = two();
    const listener = room.member(other)?.listener?.session ?? mintSessionId();
    const deaf = room.feed({ type: 'leave', session: listener });
    expect(told(deaf.effects, NODE_B)).toMatchObject({ members: [{ session: other, listener: null }] });
    expect(room.remotes(NODE_B)).toEqual([]);
    expect(room.remotes(NODE_A)).toEqual([other]);
    const { effects } = room.feed({ type: 'leave', session: other });
    expect(told(effects, NODE_A)).toMatchObject({ members: [{ session: one }] });
    expect(told(effects, NODE_A)?.remotes).toBeUndefined();
    // Its link may forget the lobby.
    expect(told(effects, NODE_B)).toMatchObject({ members: [] });
    expect(room.member(one)?.relays).toBeNull();
  });

  test('a relay that ends is opened again, one that fails again and again not in haste', () => {
    const { room, other } = two();
    const [pull] = room.pullsSince(0).filter(({ node }) => node === 'a');
    if (pull === undefined) throw new Error('nothing was pulled');
    const before = room.effects.length;
    room.said(pull, 'closed');
    for (let tries = 0; tries < 60; tries += 1) {
      const open = room.pullsSince(0).find((one) => room.isWanted(one));
      if (open !== undefined) room.news(open, 'failed');
      room.wait(500);
    }
    const tries = room.pullsSince(before).length;
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(16);
    // As soon as it works all is well.
    room.wait(30_000);
    room.connect();
    const tree = room.member(other)?.relays;
    expect(tree && relayOn(tree, NODE_A)?.phase).toBe('connected');
  });

  test('what was pulled for somebody who has left meanwhile is taken back', () => {
    const room = new Spread();
    const one = room.come('u1', NODE_A);
    room.come('u2', NODE_B);
    const [pull] = room.pullsSince(0).filter(({ source }) => source.session === one);
    if (pull === undefined) throw new Error('nothing was pulled');
    room.news(pull, 'offered');
    room.feed({ type: 'leave', session: one });
    const { effects } = room.news(pull, 'pulled');
    expect(told(effects, NODE_B)?.members).toHaveLength(1);
    expect(told(effects, NODE_B)?.remotes).toBeUndefined();
    room.feed({ type: 'close' });
    const late = room.news(pull, 'pulled');
    expect(told(late.effects, NODE_B)).toMatchObject({ members: [] });
  });

  test('a node is lost: who was there is gone everywhere, what hung on it is hung elsewhere', () => {
    const room = new Spread();
    // C gets A's tracks from B, which is nearer.
    room.around = { ...AROUND, distance: (a, b) => (a === 'c' && b === 'a' ? 10_000 : 0) };
    const one = room.come('u1', NODE_A);
    const other = room.come('u2', NODE_B);
    room.connect();
    const third = room.come('u3', NODE_C);
    room.connect();
    const tree = () => room.member(one)?.relays ?? null;
    expect(tree()?.relays.map(({ node, hop }) => `${node} of ${hop.upstream}`)).toEqual(['b of a', 'c of b']);
    const { effects } = room.feed({ type: 'node-lost', ...NODE_B });
    expect(room.member(other)).toBeUndefined();
    expect(told(effects, NODE_A)?.remotes?.map(({ session }) => session)).toEqual([third]);
    room.connect();
    expect(tree()?.relays.map(({ node, hop }) => `${node} of ${hop.upstream}`)).toEqual(['c of a']);
  });

  test('a node comes back with another life: its relays are opened anew when somebody comes there', () => {
    const { room, one, other } = two();
    room.feed({ type: 'reconcile', ingress: [], lives: [], relays: [], ...NODE_A_RESTARTED });
    expect(room.member(one)).toBeUndefined();
    expect(desiredOn(room.state, NODE_A_RESTARTED)).toBeNull();
    room.come('u1', NODE_A_RESTARTED);
    room.connect();
    expect(room.remotes(NODE_A_RESTARTED)).toEqual([other]);
  });

  test('a hello that does not name a relay: it is opened again; the other trees are not disturbed', () => {
    const { room, one, other } = two();
    const third = room.come('u3', NODE_B);
    room.connect();
    const relays = room
      .pullsSince(0)
      .filter(({ node, source }) => node === 'a' && source.session === third)
      .map(({ hop }) => ({
        lobby: LOBBY,
        session: hop.session,
        generation: hop.generation,
        state: 'connected' as const,
        idle: false,
      }));
    const before = room.effects.length;
    const listener = room.member(one)?.listener?.session ?? mintSessionId();
    const ingress = [room.reportOf(one, 'connected', { listener: { session: listener, state: 'connected' } })];
    room.feed({ type: 'reconcile', ingress, lives: [], relays, ...NODE_A });
    expect(room.pullsSince(before)).toMatchObject([{ ...NODE_A, source: { session: other } }]);
  });

  test('the last human takes every relay along', () => {
    const { room, one, other } = two();
    room.feed({ type: 'watched', ...NODE_C });
    room.connect();
    room.feed({ type: 'leave', session: one });
    const { effects } = room.feed({ type: 'leave', session: other });
    expect(room.state).toBeNull();
    expect(new Set(room.effects.filter(({ type }) => type === 'apply').map(({ node }) => node))).toContain('c');
    for (const { desired } of applies(effects)) expect(desired).toMatchObject({ members: [], live: null });
  });
});

describe('the audience', () => {
  test('gets main tracks and no others, until nobody is there', () => {
    const { room, one } = two();
    room.feed({ type: 'watched', ...NODE_C });
    room.connect();
    expect(room.remotes(NODE_C)).toEqual([one]);
    const [pull] = room.pullsSince(0).filter(({ node }) => node === 'c');
    if (pull === undefined) throw new Error('nothing was pulled');
    room.said(pull, 'connected', true);
    room.wait(IDLE_GRACE_MS - 1);
    expect(room.remotes(NODE_C)).toEqual([one]);
    const { effects } = room.wait(1);
    expect(room.state?.audiences).toEqual([]);
    expect(told(effects, NODE_C)).toMatchObject({ members: [], live: null });
    expect(told(effects, NODE_C)?.audience).toBeUndefined();
  });

  test('stays while whoever was shown is away for a while', () => {
    const { room, one } = two();
    room.feed({ type: 'watched', ...NODE_C });
    room.connect();
    const { effects } = room.feed({ type: 'leave', session: one });
    expect(told(effects, NODE_C)).toMatchObject({ members: [], audience: true });
    const back = room.come('u1', NODE_A, [MAIN_TRACK]);
    room.connect();
    expect(room.remotes(NODE_C)).toEqual([back]);
  });

  test('somebody who was sent there lately is waited for', () => {
    const { room } = two();
    room.feed({ type: 'watched', ...NODE_C });
    room.connect();
    room.around = { ...AROUND, expected: () => true };
    const [pull] = room.pullsSince(0).filter(({ node }) => node === 'c');
    if (pull !== undefined) room.said(pull, 'connected', true);
    room.wait(IDLE_GRACE_MS);
    expect(room.state?.audiences).toHaveLength(1);
    room.around = AROUND;
    room.wait(IDLE_GRACE_MS);
    expect(room.state?.audiences).toEqual([]);
  });

  test('a node that did not get the tracks is given up, one that has them is not', () => {
    const { room } = two();
    room.feed({ type: 'watched', ...NODE_C });
    room.feed({ type: 'unwatched', ...NODE_C });
    expect(room.state?.audiences).toEqual([]);
    room.feed({ type: 'watched', ...NODE_C });
    room.connect();
    room.feed({ type: 'unwatched', ...NODE_C });
    expect(room.state?.audiences).toHaveLength(1);
  });
});

describe('what is on the air', () => {
  const start = (room: Spread, session: SessionId) =>
    room.feed({ type: 'start-live', session, live: 'l1', url: LIVE_URL });

  test('is pushed from where most main tracks are, with those of the other nodes', () => {
    const { room, one, other } = two();
    room.enter('u3', { carrier: NODE_B, tracks: [MAIN_TRACK] });
    room.enter('u4', { carrier: NODE_B, tracks: [MAIN_TRACK] });
    const { effects } = start(room, other);
    expect(told(effects, NODE_B)?.live).toEqual({ live: 'l1', url: LIVE_URL });
    expect(room.remotes(NODE_B)).toContain(one);
    expect(desiredOn(room.state, NODE_A)?.live).toBeNull();
  });

  test('goes on from another node when its own is lost, and ends when there is nothing to show', () => {
    const { room, one } = two();
    const third = room.come('u3', NODE_C, [MAIN_TRACK]);
    start(room, one);
    expect(room.state?.live?.node).toEqual(NODE_A);
    const { effects } = room.feed({ type: 'node-lost', ...NODE_A });
    expect(told(effects, NODE_C)?.live).toMatchObject({ live: 'l1' });
    expect(liveStatusOf(room.state)).toMatchObject({ live: 'l1', isLive: true, state: 'starting' });
    room.feed({ type: 'node-lost', ...NODE_C });
    expect(room.member(third)).toBeUndefined();
    expect(liveStatusOf(room.state)).toMatchObject({ isLive: false, error: 'the media node was lost' });
  });

  test('leaves a node that drains for one that does not; words of the former do not count', () => {
    const { room, one } = two();
    room.come('u3', NODE_B, [MAIN_TRACK]);
    start(room, one);
    const from = room.state?.live?.node;
    room.around = { ...AROUND, draining: (node) => node === from?.node };
    const { effects } = room.wait(1);
    const to = room.state?.live?.node;
    expect(to).not.toEqual(from);
    if (!from || !to) throw new Error('nothing is on the air');
    expect([told(effects, from)?.live, told(effects, to)?.live]).toMatchObject([null, { live: 'l1' }]);
    const before = room.state;
    room.feed({ type: 'reported', ingress: [], lives: [{ lobby: LOBBY, live: 'l1', state: 'ended' }], ...from });
    expect(room.state).toBe(before);
  });
});

test('a record from before there were relays is read, and goes on', () => {
  const { room } = two();
  const { state } = room;
  if (state === null) throw new Error('there is no lobby');
  const { audiences: _, ...rest } = state;
  const members = state.members.map(({ relays: __, ...member }) => ({ ...member, target: NODE_A }));
  const live = { live: 'l1', url: LIVE_URL, state: 'online', error: null };
  const old = { ...rest, version: 1, node: NODE_A, members, live };
  const read = streamRecordSchema.parse(old);
  expect(read).toEqual({
    ...rest,
    version: 2,
    members: members.map((member) => ({ ...member, relays: null })),
    audiences: [NODE_A],
    live: { ...live, node: NODE_A },
  });
  expect(streamRecordSchema.parse({ ...old, node: null, live: null })).toMatchObject({ audiences: [], live: null });
});
