import { describe, expect, test } from 'vitest';
import { type BootId, type LobbyId, mintBootId, mintSessionId, type NodeId, type SessionId } from '../../shared/ids.ts';
import type { IngressReport, TrackReport } from '../../shared/protocol/control.ts';
import { fc } from '../../shared/test-support/properties.ts';
import type { Carrier } from '../carrier.ts';
import type { LobbyEffect, LobbyEvent, LobbyStep } from './lobby-events.ts';
import { step } from './lobby-machine.ts';
import {
  admission,
  desiredOn,
  type LobbyState,
  lobbyRecordSchema,
  nextDeadline,
  persistent,
  publisherWith,
  summaryOf,
} from './lobby-state.ts';

const LOBBY = 'room:r' as LobbyId;
const GRACE_MS = 15_000;
/** After it, one that is still connecting makes way for another. */
const PATIENCE_MS = 15_000;
const T0 = 1_700_000_000_000;
const TRACKS: TrackReport[] = [{ mid: '0', kind: 'video', codec: 'VP8', rids: [] }];
const A: Carrier = { node: 'a' as NodeId, boot: mintBootId() };
const A_RESTARTED: Carrier = { node: 'a' as NodeId, boot: mintBootId() };
const B: Carrier = { node: 'b' as NodeId, boot: mintBootId() };
const S1 = mintSessionId();
const S2 = mintSessionId();
const S3 = mintSessionId();

/** Feeds events one after the other and remembers what came of them. */
class Room {
  state: LobbyState | null = null;
  now = T0;
  effects: LobbyEffect[] = [];
  last: LobbyStep | null = null;

  feed(event: LobbyEvent): LobbyStep {
    this.last = step(this.state, event, this.now, { publisherGraceMs: GRACE_MS });
    this.state = this.last.state;
    this.effects.push(...this.last.effects);
    return this.last;
  }

  publish(session: SessionId, carrier: Carrier = A, resumed = false): LobbyStep {
    this.feed({ type: 'publish', lobby: LOBBY, session });
    this.feed({ type: 'placed', session, ...carrier });
    const revision = this.state?.revision ?? 0;
    return this.feed({ type: 'opened', lobby: LOBBY, session, revision, tracks: TRACKS, resumed, ...carrier });
  }

  live(session: SessionId, carrier: Carrier = A): void {
    this.publish(session, carrier);
    this.report('connected');
  }

  reportOf(state: IngressReport['state'], changes: Partial<IngressReport> = {}): IngressReport {
    const { session, generation } = this.state?.publisher ?? { session: S1, generation: 1 };
    return { lobby: LOBBY, session, generation, state, tracks: TRACKS, ...changes };
  }

  report(state: IngressReport['state'], changes: Partial<IngressReport> = {}, carrier: Carrier = A): LobbyStep {
    return this.feed({ type: 'reported', ingress: [this.reportOf(state, changes)], ...carrier });
  }

  applied(carrier: Carrier) {
    return this.effects.filter((effect) => effect.type === 'apply').filter((effect) => effect.node === carrier.node);
  }

  get phase() {
    return this.state?.publisher?.phase ?? null;
  }
}

describe('publish', () => {
  test('a free room is taken, answered and announced', () => {
    const room = new Room();
    const opened = room.publish(S1);
    expect(opened.refusal).toBeNull();
    expect(room.phase).toBe('connecting');
    expect(room.effects).toEqual([{ type: 'announce', lobby: LOBBY, hasPublisher: true, tracks: 1 }]);
  });

  test.each(['opening', 'connecting', 'live'] as const)('a second one is refused while the first is %s', (phase) => {
    const room = new Room();
    if (phase === 'opening') room.feed({ type: 'publish', lobby: LOBBY, session: S1 });
    else if (phase === 'connecting') room.publish(S1);
    else room.live(S1);
    const before = room.state;
    const { refusal, state } = room.feed({ type: 'publish', lobby: LOBBY, session: S2 });
    expect(refusal).toMatchObject({ status: 409, code: 'publisher_exists' });
    expect(refusal?.detail).toBe('publisher already exists in this room');
    expect(state).toBe(before);
  });

  test('one that has been connecting for long has gone away: another one takes its place', () => {
    const room = new Room();
    room.publish(S1);
    room.now += 15_000 - 1;
    expect(room.feed({ type: 'publish', lobby: LOBBY, session: S2 }).refusal).toMatchObject({ status: 409 });
    expect(room.phase).toBe('connecting');
    room.now += 1;
    expect(room.publish(S2).refusal).toBeNull();
    expect(desiredOn(room.state, A)).toMatchObject({ publisher: { session: S2 } });
    expect(publisherWith(room.state, S1, room.now)).toBeNull();
  });

  test('on another node it stays until the other one is connected', () => {
    const room = new Room();
    room.publish(S1);
    room.now += 15_000;
    room.publish(S2, B);
    expect(desiredOn(room.state, A)).toMatchObject({ publisher: { session: S1 } });
    const { generation = 0 } = room.state?.successor ?? {};
    room.report('connected', { session: S2, generation }, B);
    expect(room.state).toMatchObject({ publisher: { session: S2, phase: 'live' }, successor: null });
    expect(room.applied(A)).toMatchObject([{ desired: { publisher: null } }]);
  });

  test('who has become the publisher while still connecting has its time, too', () => {
    const room = new Room();
    room.live(S1);
    room.feed({ type: 'publish', lobby: LOBBY, session: S2, replaces: S1 });
    room.feed({ type: 'placed', session: S2, ...B });
    const revision = room.state?.revision ?? 0;
    room.feed({ type: 'opened', lobby: LOBBY, session: S2, revision, tracks: TRACKS, resumed: false, ...B });
    room.feed({ type: 'unpublish', session: S1 });
    expect(room.state).toMatchObject({ publisher: { session: S2, phase: 'connecting' } });
    room.now += 1_000;
    expect(room.feed({ type: 'publish', lobby: LOBBY, session: S3 }).refusal).toMatchObject({ status: 409 });
  });

  test('a refused offer leaves nothing behind', () => {
    const room = new Room();
    room.feed({ type: 'publish', lobby: LOBBY, session: S1 });
    expect(persistent(room.state)).toBeNull();
    room.feed({ type: 'placed', session: S1, ...A });
    room.feed({ type: 'open-failed', session: S1, uncertain: false });
    expect(room.state).toBeNull();
    expect(room.effects).toEqual([]);
  });

  test('when the node may have opened it all the same, it is told to carry nothing', () => {
    const room = new Room();
    room.feed({ type: 'publish', lobby: LOBBY, session: S1 });
    room.feed({ type: 'placed', session: S1, ...A });
    const revision = room.state?.revision ?? 0;
    room.feed({ type: 'open-failed', session: S1, uncertain: true });
    expect(room.state).toBeNull();
    expect(room.effects).toMatchObject([{ type: 'apply', ...A, desired: { lobby: LOBBY, publisher: null } }]);
    expect(room.applied(A)[0]?.desired.revision).toBeGreaterThan(revision);
  });

  test('a second node is tried: the first hears that it shall carry nothing', () => {
    const room = new Room();
    room.feed({ type: 'publish', lobby: LOBBY, session: S1 });
    room.feed({ type: 'placed', session: S1, ...A });
    room.feed({ type: 'placed', session: S1, ...B });
    expect(room.applied(A)).toMatchObject([{ desired: { publisher: null } }]);
    expect(desiredOn(room.state, B)).toMatchObject({ publisher: { session: S1 } });
  });

  test('an opening whose call has died is undone on waking and by its deadline', () => {
    for (const event of [{ type: 'recovered' }, { type: 'deadline' }] as const) {
      const room = new Room();
      room.feed({ type: 'publish', lobby: LOBBY, session: S1 });
      room.feed({ type: 'placed', session: S1, ...A });
      room.now = nextDeadline(room.state) ?? 0;
      room.feed(event);
      expect(room.state).toBeNull();
      expect(room.applied(A)).toMatchObject([{ desired: { publisher: null } }]);
    }
  });

  test('a room closed while the node was answering: what it opened is closed, with a revision above all before', () => {
    const room = new Room();
    room.feed({ type: 'publish', lobby: LOBBY, session: S1 });
    room.feed({ type: 'placed', session: S1, ...A });
    const revision = room.state?.revision ?? 0;
    room.feed({ type: 'close' });
    const opened = room.feed({
      type: 'opened',
      lobby: LOBBY,
      session: S1,
      revision,
      tracks: TRACKS,
      resumed: false,
      ...A,
    });
    expect(opened.refusal).toMatchObject({ status: 409, code: 'room_closed' });
    const [first, second] = room.applied(A).map((effect) => effect.desired.revision);
    expect(first).toBeGreaterThan(revision);
    expect(second).toBeGreaterThan(first ?? 0);
  });

  test('the word that it is connected may come before the answer', () => {
    const room = new Room();
    room.feed({ type: 'publish', lobby: LOBBY, session: S1 });
    room.feed({ type: 'placed', session: S1, ...A });
    const generation = room.state?.opening?.generation ?? 0;
    room.report('connected', { session: S1, generation });
    room.feed({ type: 'opened', lobby: LOBBY, session: S1, revision: 0, tracks: TRACKS, resumed: false, ...A });
    expect(room.phase).toBe('live');
  });
});

describe('reports', () => {
  test('connected, silent, connected again', () => {
    const room = new Room();
    room.live(S1);
    expect(room.phase).toBe('live');
    room.report('silent');
    expect(room.state?.publisher).toMatchObject({ phase: 'lost', deadline: T0 + GRACE_MS });
    room.report('connected');
    expect(room.state?.publisher).toMatchObject({ phase: 'live', deadline: null });
  });

  test.each([
    ['live, its tab closed', true, 'peer-closed', 'lost'],
    ['live, a node that knows no reason', true, undefined, 'lost'],
    ['never connected', false, 'never-connected', null],
    ['failed DTLS', false, 'dtls-failed', null],
    ['connected and gone between two reports', false, 'peer-closed', 'lost'],
  ] as const)('closed: %s', (_, live, reason, phase) => {
    const room = new Room();
    room.publish(S1);
    if (live) room.report('connected');
    room.report('closed', reason === undefined ? {} : { reason });
    expect(room.phase).toBe(phase);
  });

  test('what an older generation, another session or another life of the node says is dropped', () => {
    const room = new Room();
    room.live(S1);
    const before = room.state;
    const generation = (before?.publisher?.generation ?? 0) - 1;
    room.report('closed', { generation });
    room.report('closed', { session: S2 });
    room.report('closed', {}, A_RESTARTED);
    room.report('closed', {}, B);
    expect(room.state).toBe(before);
  });

  test('a session id that comes again in a new life of the room has a newer generation', () => {
    const room = new Room();
    room.live(S1);
    const first = room.state?.publisher?.generation ?? 0;
    room.feed({ type: 'unpublish', session: S1 });
    room.now += 1;
    room.publish(S1);
    expect(room.state?.publisher?.generation).toBeGreaterThan(first);
  });

  test('the same report again changes nothing', () => {
    const room = new Room();
    room.live(S1);
    const before = room.state;
    expect(room.report('connected')).toEqual({ state: before, effects: [], refusal: null });
    expect(room.state).toBe(before);
  });
});

describe('a lost publisher', () => {
  function lostRoom(): Room {
    const room = new Room();
    room.live(S1);
    room.report('silent');
    room.effects = [];
    return room;
  }

  test('viewers are told to come back soon: it may be here again in a moment', () => {
    const room = lostRoom();
    expect(admission(room.state, T0)).toMatchObject({
      kind: 'refuse',
      problem: { status: 409, retryAfterSeconds: 1 },
    });
    expect(admission(room.state, T0 + GRACE_MS - 1)).toMatchObject({ problem: { retryAfterSeconds: 1 } });
    expect(admission(room.state, T0 + GRACE_MS)).toMatchObject({ problem: { status: 404, code: 'no_publisher' } });
  });

  test('its deadline ends the room', () => {
    const room = lostRoom();
    room.now = nextDeadline(room.state) ?? 0;
    room.feed({ type: 'deadline' });
    expect(room.state).toBeNull();
    expect(room.effects).toMatchObject([
      { type: 'apply', ...A, desired: { publisher: null } },
      { type: 'ended', lobby: LOBBY },
    ]);
  });

  test('another one takes over on the same node and names it', () => {
    const room = lostRoom();
    room.feed({ type: 'publish', lobby: LOBBY, session: S2 });
    room.feed({ type: 'placed', session: S2, ...A });
    expect(room.state?.opening).toMatchObject({ session: S2, replaces: S1 });
    room.feed({ type: 'opened', lobby: LOBBY, session: S2, revision: 1, tracks: TRACKS, resumed: true, ...A });
    expect(room.state?.publisher).toMatchObject({ session: S2, phase: 'connecting', watched: true });
    expect(room.applied(A)).toEqual([]);
    room.report('closed', { reason: 'never-connected' });
    expect(room.phase, 'the viewers that were taken over wait again').toBe('lost');
  });

  test('another one on another node: the first is told to carry nothing, once the second is there', () => {
    const room = lostRoom();
    room.feed({ type: 'publish', lobby: LOBBY, session: S2 });
    room.feed({ type: 'placed', session: S2, ...B });
    expect(room.state?.opening?.replaces).toBeNull();
    expect(room.effects).toEqual([]);
    room.feed({ type: 'opened', lobby: LOBBY, session: S2, revision: 1, tracks: TRACKS, resumed: false, ...B });
    expect(room.applied(A)).toMatchObject([{ desired: { publisher: null } }]);
  });

  test('a successor that fails leaves it lost with its own deadline', () => {
    const room = lostRoom();
    const deadline = room.state?.publisher?.deadline;
    room.now += 5_000;
    room.feed({ type: 'publish', lobby: LOBBY, session: S2 });
    room.feed({ type: 'placed', session: S2, ...A });
    room.feed({ type: 'open-failed', session: S2, uncertain: false });
    expect(room.state).toMatchObject({ opening: null, publisher: { session: S1, phase: 'lost', deadline } });
    expect(room.effects).toEqual([]);
  });

  test('a successor that fails after the deadline ends the room', () => {
    const room = lostRoom();
    room.now = T0 + GRACE_MS - 1;
    room.feed({ type: 'publish', lobby: LOBBY, session: S2 });
    room.feed({ type: 'placed', session: S2, ...A });
    room.now = T0 + GRACE_MS + 1;
    room.feed({ type: 'deadline' });
    expect(room.phase).toBe('lost');
    room.feed({ type: 'open-failed', session: S2, uncertain: false });
    expect(room.state).toBeNull();
    expect(room.applied(A)).toMatchObject([{ desired: { publisher: null } }]);
  });

  test('deleted while a successor is opening: over at once, its viewers are the successor’s', () => {
    const room = lostRoom();
    room.feed({ type: 'publish', lobby: LOBBY, session: S2 });
    room.feed({ type: 'placed', session: S2, ...A });
    expect(room.feed({ type: 'unpublish', session: S1 }).refusal).toBeNull();
    expect(publisherWith(room.state, S1, room.now)).toBeNull();
    expect(room.effects).toEqual([]);
    room.feed({ type: 'opened', lobby: LOBBY, session: S2, revision: 1, tracks: TRACKS, resumed: true, ...A });
    expect(room.state?.publisher?.session).toBe(S2);
  });
});

describe('the end', () => {
  test('unpublish closes the node’s side and the list entry; the room is free', () => {
    const room = new Room();
    room.live(S1);
    room.effects = [];
    expect(room.feed({ type: 'unpublish', session: S1 }).refusal).toBeNull();
    expect(room.state).toBeNull();
    expect(room.effects).toMatchObject([
      { type: 'apply', ...A, desired: { publisher: null } },
      { type: 'ended', lobby: LOBBY },
    ]);
    expect(admission(room.state, room.now)).toMatchObject({ problem: { status: 404 } });
  });

  test('unpublish of another session touches nothing', () => {
    const room = new Room();
    room.live(S1);
    const before = room.state;
    expect(room.feed({ type: 'unpublish', session: S2 }).refusal).toMatchObject({ status: 404, code: 'no_session' });
    expect(room.state).toBe(before);
  });

  test('closing an empty room is 404', () => {
    expect(new Room().feed({ type: 'close' }).refusal).toMatchObject({ status: 404, code: 'no_room' });
  });

  test('the node is lost: free at once, no word to the dead', () => {
    const room = new Room();
    room.live(S1);
    room.effects = [];
    room.feed({ type: 'node-lost', ...A });
    expect(room.state).toBeNull();
    expect(room.effects).toEqual([{ type: 'ended', lobby: LOBBY }]);
  });

  test('an earlier life of the node is lost: nothing happens', () => {
    const room = new Room();
    room.live(S1, A_RESTARTED);
    room.feed({ type: 'node-lost', ...A });
    expect(room.phase).not.toBeNull();
  });
});

describe('reconcile', () => {
  test('the same life of the node carries it still: nothing changes', () => {
    const room = new Room();
    room.live(S1);
    const before = room.state;
    room.feed({ type: 'reconcile', ingress: [room.reportOf('connected')], ...A });
    expect(room.state).toBe(before);
    expect(desiredOn(room.state, A)).toMatchObject({ publisher: { session: S1 } });
  });

  test('the same life carries it no more: lost, its viewers are kept', () => {
    const room = new Room();
    room.live(S1);
    room.feed({ type: 'reconcile', ingress: [], ...A });
    expect(room.phase).toBe('lost');
    expect(desiredOn(room.state, A)).toMatchObject({ publisher: { session: S1 } });
  });

  test('another life: ended, nothing is desired', () => {
    const room = new Room();
    room.live(S1);
    room.feed({ type: 'reconcile', ingress: [], ...A_RESTARTED });
    expect(room.state).toBeNull();
    expect(desiredOn(room.state, A_RESTARTED)).toBeNull();
  });

  test('what happened while the link was down is caught up with', () => {
    const room = new Room();
    room.publish(S1);
    room.feed({ type: 'reconcile', ingress: [room.reportOf('connected')], ...A });
    expect(room.phase).toBe('live');
  });
});

describe('any interleaving', () => {
  const sessions = [S1, S2, mintSessionId()];
  const carriers: Carrier[] = [A, A_RESTARTED, B];
  const session = fc.constantFrom(...sessions);
  const carrier = fc.constantFrom(...carriers);
  const said = fc.constantFrom('connecting', 'connected', 'silent', 'closed') as fc.Arbitrary<IngressReport['state']>;
  const move = fc.oneof(
    fc.record({ do: fc.constant('publish' as const), session }),
    fc.record({ do: fc.constant('placed' as const), session, carrier }),
    fc.record({ do: fc.constant('opened' as const), session, resumed: fc.boolean() }),
    fc.record({ do: fc.constant('open-failed' as const), session, uncertain: fc.boolean() }),
    fc.record({ do: fc.constant('recovered' as const) }),
    fc.record({ do: fc.constant('unpublish' as const), session }),
    fc.record({ do: fc.constant('close' as const) }),
    fc.record({ do: fc.constant('reported' as const), session, carrier, said, older: fc.boolean() }),
    fc.record({ do: fc.constant('reconcile' as const), carrier, carries: fc.boolean(), said }),
    fc.record({ do: fc.constant('node-lost' as const), carrier }),
    fc.record({ do: fc.constant('wait' as const), ms: fc.integer({ min: 0, max: 70_000 }) }),
  );

  type Move = typeof move extends fc.Arbitrary<infer T> ? T : never;

  test('keeps what it promises', () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 40 }), (moves) => {
        const room = new Room();
        let announced: { hasPublisher: boolean; tracks: number } | null = null;
        const revisions = new Map<BootId, number>();
        const asked = new Map<number, number>();
        for (const next of moves) {
          const before = room.state;
          const stepped = feedMove(room, next);
          // The list entry follows the room: replaying the effects gives the summary.
          for (const effect of stepped?.effects ?? []) {
            if (effect.type === 'announce') announced = { hasPublisher: effect.hasPublisher, tracks: effect.tracks };
            else if (effect.type === 'ended') announced = null;
            else if (effect.type === 'apply') {
              // Every wish is newer than any before it, so that no node ignores it.
              expect(effect.desired.revision).toBeGreaterThan(revisions.get(effect.boot) ?? 0);
              revisions.set(effect.boot, effect.desired.revision);
            }
          }
          expect(announced).toEqual(summaryOf(room.state));
          checkState(room.state, room.now);
          checkOpening(room.state, room.now, asked);
          if (stepped?.refusal?.code === 'publisher_exists') expect(room.state).toBe(before);
          checkEnding(before, room, stepped, next);
        }
      }),
      { numRuns: 3_000 },
    );
  });

  function feedMove(room: Room, next: Move): LobbyStep | null {
    const opening = room.state?.opening;
    switch (next.do) {
      case 'publish':
        return room.feed({ type: 'publish', lobby: LOBBY, session: next.session });
      case 'placed':
        return room.feed({ type: 'placed', session: next.session, ...next.carrier });
      case 'opened': {
        // A node only answers what was sent to it.
        if (!opening?.target || opening.session !== next.session) return null;
        const revision = room.state?.revision ?? 0;
        const { session: id, target } = opening;
        const { resumed } = next;
        return room.feed({ type: 'opened', lobby: LOBBY, session: id, revision, tracks: TRACKS, resumed, ...target });
      }
      case 'open-failed':
        return room.feed({ type: 'open-failed', session: next.session, uncertain: next.uncertain });
      case 'unpublish':
        return room.feed({ type: 'unpublish', session: next.session });
      case 'recovered':
      case 'close':
        return room.feed({ type: next.do });
      case 'reported': {
        const known = [room.state?.publisher, opening].find((one) => one?.session === next.session);
        const generation = Math.max(0, (known?.generation ?? 1) - (next.older ? 1 : 0));
        const before = room.state;
        const stepped = room.report(next.said, { session: next.session, generation }, next.carrier);
        if (next.older && before === room.state) expect(stepped.effects).toEqual([]);
        return stepped;
      }
      case 'reconcile': {
        const ingress = next.carries && room.state?.publisher ? [room.reportOf(next.said)] : [];
        return room.feed({ type: 'reconcile', ingress, ...next.carrier });
      }
      case 'node-lost':
        return room.feed({ type: 'node-lost', ...next.carrier });
      case 'wait':
        room.now += next.ms;
        return room.feed({ type: 'deadline' });
    }
  }

  function checkState(state: LobbyState | null, now: number): void {
    if (state === null) return;
    expect(lobbyRecordSchema.parse(state)).toEqual(state);
    const { publisher, opening } = state;
    expect(publisher !== null || opening !== null, 'an empty room has no state').toBe(true);
    if (publisher !== null && publisher.phase !== 'live') expect(publisher.deadline).not.toBeNull();
    if (publisher?.phase === 'live') expect(publisher.deadline).toBeNull();
    if (publisher !== null && opening === null) expect(publisher.deadline ?? now + 1).toBeGreaterThan(now);
    expect(nextDeadline(state) === null).toBe(publisher?.phase === 'live' && opening === null);
  }

  /** Nobody opens beside a publisher that may still come; `asked` is when each of them (by generation) asked for the room. */
  function checkOpening(state: LobbyState | null, now: number, asked: Map<number, number>): void {
    if (!state?.opening) return;
    const { opening, publisher } = state;
    expect(opening.deadline).toBeGreaterThan(now);
    if (!asked.has(opening.generation)) asked.set(opening.generation, now);
    if (publisher?.phase !== 'connecting') return;
    expect(now, 'it had its time to connect').toBeGreaterThanOrEqual(
      (asked.get(publisher.generation) ?? Number.POSITIVE_INFINITY) + PATIENCE_MS,
    );
  }

  /** A publisher that stops being the publisher is ended at its node, unless the node is dead or has replaced it. */
  function checkEnding(before: LobbyState | null, room: Room, stepped: LobbyStep | null, next: Move): void {
    const old = before?.publisher;
    if (!old || stepped === null || room.state?.publisher?.session === old.session) return;
    if (next.do === 'node-lost' || next.do === 'reconcile') return;
    const successor = room.state?.publisher;
    if (successor && successor.node === old.node && successor.boot === old.boot) return;
    const told = stepped.effects.some((effect) => effect.type === 'apply' && effect.boot === old.boot);
    expect(told, 'its node was told').toBe(true);
  }
});
