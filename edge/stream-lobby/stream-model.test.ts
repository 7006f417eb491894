/**
 * Any interleaving of calls, reports and losses. Beside the machine stands a model of the nodes: they carry what was opened
 * there, and drop what a newer wish does not list. Whatever happens, the lobby and the nodes end up of one mind.
 */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { mintBootId, mintSessionId, type NodeId, type SessionId } from '../../shared/ids.ts';
import type { Carrier } from '../lobby/lobby-state.ts';
import type { StreamStep } from './stream-events.ts';
import { isHeld, type Member, nextDeadline, streamRecordSchema } from './stream-state.ts';
import { GUEST_TRACK, LIVE_URL, LOBBY, LobbyUnderTest, MAIN_TRACK } from './stream-under-test.ts';

const USERS = ['u1', 'u2', 'u3', 'u4'] as const;

const pick = fc.nat({ max: 7 });
const move = fc.oneof(
  {
    arbitrary: fc.record({ do: fc.constant('join' as const), user: fc.constantFrom(...USERS), fixed: fc.boolean() }),
    weight: 4,
  },
  { arbitrary: fc.record({ do: fc.constant('place' as const), node: fc.nat({ max: 1 }) }), weight: 3 },
  { arbitrary: fc.record({ do: fc.constant('target' as const), pick }), weight: 4 },
  { arbitrary: fc.record({ do: fc.constant('open' as const), pick, main: fc.boolean() }), weight: 4 },
  fc.record({ do: fc.constant('fail' as const), pick, uncertain: fc.boolean(), unplace: fc.boolean() }),
  fc.record({ do: fc.constant('recover' as const) }),
  { arbitrary: fc.record({ do: fc.constant('listen' as const), pick }), weight: 4 },
  {
    arbitrary: fc.record({ do: fc.constant('listening' as const), pick, fails: fc.boolean(), uncertain: fc.boolean() }),
    weight: 4,
  },
  { arbitrary: fc.record({ do: fc.constant('leave' as const), pick, listener: fc.boolean() }), weight: 3 },
  fc.record({ do: fc.constant('live' as const), pick, start: fc.boolean() }),
  {
    arbitrary: fc.record({
      do: fc.constant('say' as const),
      pick,
      said: fc.constantFrom('connected', 'silent', 'closed'),
    }),
    weight: 3,
  },
  fc.record({ do: fc.constant('relink' as const), node: fc.nat({ max: 1 }), restarted: fc.boolean() }),
  fc.record({ do: fc.constant('lose' as const), node: fc.nat({ max: 1 }) }),
  fc.record({ do: fc.constant('wait' as const), ms: fc.oneof(fc.nat({ max: 2_000 }), fc.nat({ max: 70_000 })) }),
);
type Move = typeof move extends fc.Arbitrary<infer T> ? T : never;

/** What one node carries of the lobby. */
class ModelNode {
  readonly node: NodeId;
  boot = mintBootId();
  readonly members = new Map<SessionId, SessionId | null>();
  live: string | null = null;
  revision = 0;

  constructor(name: string) {
    this.node = name as NodeId;
  }

  get carrier(): Carrier {
    return { node: this.node, boot: this.boot };
  }

  restart(): void {
    this.boot = mintBootId();
    this.members.clear();
    this.live = null;
    this.revision = 0;
  }
}

class World {
  readonly room = new LobbyUnderTest();
  readonly nodes = [new ModelNode('a'), new ModelNode('b')] as const;

  run(next: Move): void {
    const before = this.room.state;
    const stepped = this.#feed(next);
    if (stepped !== null) this.#obey(stepped);
    if (stepped?.refusal?.code === 'session_exists') expect(this.room.state).toBe(before);
    this.#check();
  }

  /** Every wish is newer than any before, or a node would take it for old news. */
  #obey(stepped: StreamStep): void {
    for (const { boot, desired } of stepped.effects) {
      const node = this.nodes.find((one) => one.boot === boot);
      if (node === undefined) continue;
      expect(desired.revision).toBeGreaterThan(node.revision);
      node.revision = desired.revision;
      const listed = new Map(desired.members.map(({ session, listener }) => [session, listener]));
      for (const [session, listener] of node.members) {
        const wanted = listed.get(session);
        if (wanted === undefined) node.members.delete(session);
        else if (listener !== null && listener !== wanted) node.members.set(session, null);
      }
      node.live = desired.live?.live ?? null;
    }
  }

  #feed(next: Move): StreamStep | null {
    const { room } = this;
    switch (next.do) {
      case 'join':
        return room.begin(next.user, mintSessionId(), next.fixed);
      case 'place':
        return room.feed({ type: 'placed', ...this.#node(next.node).carrier });
      case 'target': {
        const member = this.#pick(next.pick, (one) => one.phase === 'opening');
        return member && room.feed({ type: 'targeted', session: member.session });
      }
      case 'open': {
        // A node only answers what was sent to it, and only while it lives.
        const member = this.#pick(next.pick, (one) => one.phase === 'opening' && this.#nodeOf(one) !== null);
        const node = member && this.#nodeOf(member);
        if (!node) return null;
        node.members.set(member.session, null);
        const tracks = [next.main ? MAIN_TRACK : GUEST_TRACK];
        return room.feed({ type: 'opened', lobby: LOBBY, session: member.session, tracks, ...node.carrier });
      }
      case 'fail': {
        const member = this.#pick(next.pick, (one) => one.phase === 'opening');
        if (member === null) return null;
        const node = this.#nodeOf(member);
        // It did open it, and nobody knows.
        if (next.uncertain) node?.members.set(member.session, null);
        // Its call tries another node.
        if (next.unplace && node !== null) return room.feed({ type: 'unplaced', ...node.carrier });
        const uncertain = node?.members.has(member.session) === true;
        return room.feed({ type: 'open-failed', session: member.session, uncertain });
      }
      case 'recover':
        for (const member of room.state?.members ?? []) {
          if (member.phase === 'opening') this.#nodeOf(member)?.members.set(member.session, null);
        }
        return room.feed({ type: 'recovered' });
      case 'listen': {
        const member = this.#pick(next.pick, (one) => one.phase !== 'opening');
        return member && room.feed({ type: 'listen', member: member.session, listener: mintSessionId() });
      }
      case 'listening': {
        const member = this.#pick(next.pick, (one) => one.listener?.phase === 'opening');
        if (!member?.listener) return null;
        const listener = member.listener.session;
        if (!next.fails || next.uncertain) this.#nodeOf(member)?.members.set(member.session, listener);
        return next.fails
          ? room.feed({ type: 'listen-failed', listener, uncertain: next.uncertain })
          : room.feed({ type: 'listening', listener });
      }
      case 'leave': {
        const member = this.#pick(next.pick, (one) => one.phase !== 'opening');
        if (member === null) return null;
        const session = next.listener ? (member.listener?.session ?? member.session) : member.session;
        return room.feed({ type: 'leave', session });
      }
      case 'live': {
        const member = this.#pick(next.pick, (one) => one.phase !== 'opening');
        if (member === null) return null;
        return next.start
          ? room.feed({ type: 'start-live', session: member.session, live: mintSessionId(), url: LIVE_URL })
          : room.feed({ type: 'stop-live', live: null });
      }
      case 'say': {
        const member = this.#pick(next.pick, (one) => this.#nodeOf(one)?.members.has(one.session) === true);
        const node = member && this.#nodeOf(member);
        if (!node) return null;
        const state = next.said as 'connected' | 'silent' | 'closed';
        const listener = node.members.get(member.session) ?? null;
        if (state === 'closed') node.members.delete(member.session);
        const changes = listener === null ? {} : { listener: { session: listener, state: 'connected' as const } };
        return room.report(member.session, state, changes, node.carrier);
      }
      case 'relink': {
        const node = this.#node(next.node);
        if (next.restarted) node.restart();
        const ingress = [...node.members].map(([session, listener]) =>
          room.reportOf(session, 'connected', {
            ...(listener === null ? {} : { listener: { session: listener, state: 'connected' as const } }),
          }),
        );
        return room.feed({ type: 'reconcile', ingress, lives: [], ...node.carrier });
      }
      case 'lose': {
        const node = this.#node(next.node);
        const { carrier } = node;
        node.restart();
        return room.feed({ type: 'node-lost', ...carrier });
      }
      case 'wait':
        return room.wait(next.ms);
    }
  }

  #check(): void {
    const { state, now } = this.room;
    if (state === null) {
      // Over is over: nobody is left, nothing is pushed.
      for (const node of this.nodes) expect([...node.members.keys(), node.live]).toEqual([null]);
      return;
    }
    expect(streamRecordSchema.parse(state)).toEqual(state);
    expect(isHeld(state)).toBe(true);
    const places = state.members.map(({ user, fixed }) => `${user} ${fixed}`);
    expect(new Set(places).size).toBe(places.length);
    expect(nextDeadline(state) ?? now + 1).toBeGreaterThan(now);
    for (const { phase, deadline, target } of state.members) {
      expect(deadline === null).toBe(phase === 'live');
      // All of them are in one place.
      if (phase !== 'opening') expect(target).toEqual(state.node);
    }
    for (const node of this.nodes) {
      const here = state.members.filter(({ target }) => target?.boot === node.boot);
      const known = new Map(here.map(({ session, listener }) => [session, listener?.session ?? null]));
      for (const [session, listener] of node.members) {
        expect(known.has(session), 'no node carries what the lobby does not know').toBe(true);
        if (listener !== null) expect(known.get(session)).toBe(listener);
      }
      if (node.live !== null) expect(node.live).toBe(state.live?.live);
    }
  }

  #node(index: number): ModelNode {
    return index === 0 ? this.nodes[0] : this.nodes[1];
  }

  #nodeOf(member: Member): ModelNode | null {
    return this.nodes.find((node) => node.boot === member.target?.boot) ?? null;
  }

  #pick(index: number, fits: (member: Member) => boolean): Member | null {
    const fitting = (this.room.state?.members ?? []).filter(fits);
    return fitting[index % Math.max(1, fitting.length)] ?? null;
  }
}

describe('any interleaving', () => {
  test('keeps one session for each user, one place for all, and nobody where nobody should be', () => {
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
      { numRuns: 2_000 },
    );
  });
});
