import { describe, expect, test } from 'vitest';
import { mintBootId, type NodeId } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
  type Hello,
  LINK_SILENCE_MS,
  PING_INTERVAL_MS,
  RELINK_GRACE_MS,
} from '../../shared/protocol/control.ts';
import { fc } from '../../shared/test-support/properties.ts';
import {
  CLOSE_REPLACED,
  CLOSE_SILENT,
  CLOSE_TAKEN,
  type LinkEvent,
  type LinkState,
  linkRecordSchema,
  mayBeLinked,
  nextTick,
  objectionTo,
  step,
} from './node-link-machine.ts';

const NODE = 'a' as NodeId;
const BOOT = mintBootId();
const T0 = 1_700_000_000_000;
const PROMISE_MS = 10_000;

const other = { type: 'hello' as const, connection: 2, node: NODE, boot: mintBootId() };

function linked(connection = 1): LinkState {
  return step(null, { type: 'hello', connection, node: NODE, boot: BOOT, heardAt: null }, T0).state;
}

test('a newer connection of the same node replaces the older', () => {
  const { state, effects } = step(linked(1), { type: 'hello', connection: 2, node: NODE, boot: BOOT, heardAt: T0 }, T0);
  expect(state).toMatchObject({ connection: 2, downSince: null });
  expect(effects).toEqual([{ type: 'drop', connection: 1, code: CLOSE_REPLACED, reason: 'replaced' }]);
});

test('another life of the node is refused while this one is alive, and let in when it is silent or gone', () => {
  const state = linked(1);
  const refused = step(state, { ...other, heardAt: T0 + 1_000 }, T0 + 3_000);
  expect(refused).toMatchObject({ state, effects: [{ type: 'drop', connection: 2, code: CLOSE_TAKEN }] });
  const silent = step(state, { ...other, heardAt: T0 }, T0 + 2 * PING_INTERVAL_MS);
  expect(silent).toMatchObject({ state: { connection: 2, boot: other.boot }, effects: [{ connection: 1 }] });
  const { state: down } = step(state, { type: 'closed', connection: 1 }, T0);
  expect(step(down, { ...other, heardAt: null }, T0).state).toMatchObject({ connection: 2, boot: other.boot });
});

test('the end of a replaced connection is not the end of the link', () => {
  const state = linked(2);
  expect(step(state, { type: 'closed', connection: 1 }, T0)).toEqual({ state, effects: [] });
});

test('a closed link may come back within the grace', () => {
  const closed = step(linked(), { type: 'closed', connection: 1 }, T0);
  expect(closed.effects).toEqual([{ type: 'unlinked', node: NODE, boot: BOOT }]);
  expect(mayBeLinked(closed.state, T0 + RELINK_GRACE_MS - 1)).toBe(true);
  expect(mayBeLinked(closed.state, T0 + RELINK_GRACE_MS)).toBe(false);
  const early = step(closed.state, { type: 'tick', heardAt: null }, T0 + RELINK_GRACE_MS - 1);
  expect(early).toEqual({ state: closed.state, effects: [] });
  const back = step(closed.state, { type: 'hello', connection: 2, node: NODE, boot: BOOT, heardAt: null }, T0 + 2_000);
  expect(back).toMatchObject({ state: { connection: 2, downSince: null, gone: false }, effects: [] });
});

test('after the grace it is gone, is told so until all lobbies know, and is forgotten then', () => {
  const { state: down } = step(linked(), { type: 'closed', connection: 1 }, T0);
  const gone = step(down, { type: 'tick', heardAt: null }, nextTick(down, null, T0) ?? 0);
  expect(gone.effects).toEqual([{ type: 'gone', node: NODE, boot: BOOT }]);
  expect(step(gone.state, { type: 'tick', heardAt: null }, T0 + 60_000).effects).toHaveLength(1);
  expect(step(gone.state, { type: 'forgotten' }, T0).state).toBeNull();
});

test('a node that comes back while its lobbies are told is not forgotten', () => {
  const { state: down } = step(linked(), { type: 'closed', connection: 1 }, T0);
  const { state: gone } = step(down, { type: 'tick', heardAt: null }, T0 + RELINK_GRACE_MS);
  const { state: back } = step(gone, { ...other, heardAt: null }, T0 + 6_000);
  expect(step(back, { type: 'forgotten' }, T0 + 6_000).state).toBe(back);
});

test('silence counts from the last sign of life, so that the node is gone at once', () => {
  const heardAt = T0 + 1_000;
  expect(step(linked(), { type: 'tick', heardAt }, heardAt + LINK_SILENCE_MS - 1).effects).toEqual([]);
  const { state, effects } = step(linked(), { type: 'tick', heardAt }, heardAt + LINK_SILENCE_MS);
  expect(effects.map((effect) => effect.type)).toEqual(['drop', 'unlinked', 'gone']);
  expect(effects[0]).toMatchObject({ connection: 1, code: CLOSE_SILENT });
  expect(state).toMatchObject({ connection: null, downSince: heardAt, gone: true });
});

test('woken without its socket (the edge was restarted), the link is down; with it, nothing has changed', () => {
  const state = linked(7);
  expect(step(state, { type: 'woken', connections: [3, 7] }, T0)).toEqual({ state, effects: [] });
  expect(step(state, { type: 'woken', connections: [3] }, T0).state).toMatchObject({ connection: null, downSince: T0 });
});

describe('hello', () => {
  const hello = (changes: Partial<Hello>): Hello => ({
    type: 'hello',
    protocol: CONTROL_PROTOCOL_VERSION,
    node: NODE,
    boot: BOOT,
    version: '1',
    region: '',
    addresses: [],
    engine: 'portable',
    capacity: { sessions: 1 },
    ingress: [],
    lobbies: [],
    load: { sessions: 0, packetsPerSecond: 0, cpu: 0 },
    ...changes,
  });

  test.each([
    ['as expected', {}, null],
    ['a neighbour version', { protocol: CONTROL_PROTOCOL_VERSION + 1 }, null],
    ['a far version', { protocol: CONTROL_PROTOCOL_VERSION + 2 }, /protocol/],
    ['another node', { node: 'b' as NodeId }, /another node/],
  ])('%s', (_, changes, objection) => {
    const said = objectionTo(hello(changes), NODE);
    if (objection === null) expect(said).toBeNull();
    else expect(said).toMatch(objection);
  });
});

test('however a node dies, it is gone within the promised time when ticks come as asked for', () => {
  const scenario = fc.record({
    pings: fc.integer({ min: 0, max: 20 }),
    afterPingMs: fc.integer({ min: 0, max: PING_INTERVAL_MS }),
    seen: fc.boolean(),
    lateMs: fc.integer({ min: 0, max: 1_000 }),
  });
  fc.assert(
    fc.property(scenario, ({ pings, afterPingMs, seen, lateMs }) => {
      const heardAt = T0 + pings * PING_INTERVAL_MS;
      const diedAt = heardAt + afterPingMs;
      let state = linked();
      if (seen) state = step(state, { type: 'closed', connection: 1 }, diedAt).state;
      let now = diedAt;
      for (let ticks = 0; ticks < 10 && state?.gone === false; ticks += 1) {
        now = Math.max(now, nextTick(state, seen ? null : heardAt, now) ?? Number.POSITIVE_INFINITY) + lateMs;
        state = step(state, { type: 'tick', heardAt: seen ? null : heardAt }, now).state;
      }
      expect(state?.gone).toBe(true);
      expect(now - diedAt).toBeLessThanOrEqual(PROMISE_MS);
    }),
  );
});

test('any order of events: a link is up or down, never both, and gone only when down', () => {
  const connection = fc.integer({ min: 1, max: 4 });
  const boots = [BOOT, mintBootId()];
  const event: fc.Arbitrary<LinkEvent> = fc.oneof(
    fc.record({
      type: fc.constant('hello' as const),
      connection,
      node: fc.constant(NODE),
      boot: fc.constantFrom(...boots),
      heardAt: fc.option(fc.integer({ min: T0, max: T0 + 20_000 })),
    }),
    fc.record({ type: fc.constant('closed' as const), connection }),
    fc.record({ type: fc.constant('woken' as const), connections: fc.array(connection, { maxLength: 3 }) }),
    fc.record({ type: fc.constant('tick' as const), heardAt: fc.option(fc.integer({ min: T0, max: T0 + 20_000 })) }),
    fc.record({ type: fc.constant('forgotten' as const) }),
  );
  fc.assert(
    fc.property(fc.array(fc.tuple(event, fc.integer({ min: 0, max: 7_000 })), { maxLength: 30 }), (events) => {
      let state: LinkState = null;
      let now = T0;
      for (const [next, ms] of events) {
        now += ms;
        state = step(state, next, now).state;
        if (state === null) continue;
        expect(linkRecordSchema.parse(state)).toEqual(state);
        expect(state.connection === null).toBe(state.downSince !== null);
        if (state.gone) expect(state.connection).toBeNull();
        expect(nextTick(state, null, now)).not.toBeNull();
      }
    }),
    { numRuns: 2_000 },
  );
});
