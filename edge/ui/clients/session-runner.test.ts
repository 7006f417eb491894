import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ClientError } from './errors.ts';
import { MOVE_SPREAD_MS, MOVE_TIMEOUT_MS } from './move-machine.ts';
import type { PeerSession } from './peer-session.ts';
import { PROBE_INTERVAL_MS } from './session-machine.ts';
import { type PeerEvents, SessionRunner } from './session-runner.ts';

/** A peer session without a browser: what the server and the network do is said by the test. */
class FakePeer {
  readonly connection = { connectionState: 'connected' };
  readonly events: PeerEvents;
  readonly replaces: unknown;
  readonly canBeReplaced = false;
  resourceUrl: string | null = null;
  closed = false;
  /** Status of the PATCH of an ICE restart. */
  restartStatus = 200;
  readonly shown = Promise.withResolvers<void>();

  constructor(events: PeerEvents, replaces: unknown) {
    this.events = events;
    this.replaces = replaces;
  }

  async open(): Promise<void> {
    this.resourceUrl = 'https://edge.example/resource/1';
  }

  async close(): Promise<void> {
    this.closed = true;
  }

  async restart(): Promise<void> {
    if (this.restartStatus >= 400) throw new ClientError('refused', { status: this.restartStatus, code: 'no_session' });
  }

  async probe(): Promise<number> {
    return this.restartStatus;
  }
}

const peers: FakePeer[] = [];

function live() {
  const runner = new SessionRunner({
    role: 'publish',
    createPeer: (events, replaces) => {
      peers.push(new FakePeer(events, replaces));
      return peers.at(-1) as unknown as PeerSession;
    },
    moving: { whenShown: (peer) => (peer as unknown as FakePeer).shown.promise },
    onStatus: () => undefined,
    onError: () => undefined,
  });
  runner.dispatch({ kind: 'start' });
  return runner;
}

/** The first session is live and the second one opened, which shows nothing yet. */
async function moving() {
  const runner = live();
  await vi.advanceTimersByTimeAsync(1);
  peers[0]?.events.onState('connected');
  peers[0]?.events.onReconnect?.();
  await vi.advanceTimersByTimeAsync(MOVE_SPREAD_MS);
  const [old, next] = peers as [FakePeer, FakePeer];
  expect([peers.length, next.replaces]).toEqual([2, old]);
  return { runner, old, next };
}

beforeEach(() => {
  peers.length = 0;
  vi.useFakeTimers();
  vi.stubGlobal('addEventListener', () => undefined);
  vi.stubGlobal('document', { addEventListener: () => undefined });
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

it('moves on from the second session when that was asked to move before it was shown', async () => {
  const { runner, old, next } = await moving();
  next.events.onReconnect?.();
  next.shown.resolve();
  await vi.advanceTimersByTimeAsync(1);
  expect(runner.peer).toBe(next);
  await vi.advanceTimersByTimeAsync(MOVE_SPREAD_MS);
  expect([peers.length, peers[2]?.replaces, old.closed, next.closed]).toEqual([3, next, true, false]);
  runner.dispatch({ kind: 'stop' });
  expect(peers.every(({ closed }) => closed)).toBe(true);
});

it('stays with the second session when it was not', async () => {
  const { runner, next } = await moving();
  next.shown.resolve();
  await vi.advanceTimersByTimeAsync(MOVE_TIMEOUT_MS);
  expect([runner.peer, peers.length]).toEqual([next, 2]);
  runner.dispatch({ kind: 'stop' });
});

it('takes the second session, rather than a third, when the first is forgotten meanwhile', async () => {
  const { runner, old, next } = await moving();
  old.restartStatus = 404;
  old.events.onState('failed');
  await vi.advanceTimersByTimeAsync(1);
  expect([runner.peer, runner.status, next.closed]).toEqual([next, 'live', false]);
  await vi.advanceTimersByTimeAsync(MOVE_TIMEOUT_MS);
  expect([peers.length, old.closed, next.closed]).toEqual([2, true, false]);
  runner.dispatch({ kind: 'stop' });
});

it('takes the second session, whatever it shows, when a silent first one turns out to be forgotten', async () => {
  const { runner, old, next } = await moving();
  runner.dispatch({ kind: 'silent' });
  await vi.advanceTimersByTimeAsync(1);
  expect(runner.peer).toBe(old);
  old.restartStatus = 404;
  await vi.advanceTimersByTimeAsync(PROBE_INTERVAL_MS);
  expect([runner.peer, runner.status, next.closed]).toEqual([next, 'live', false]);
  await vi.advanceTimersByTimeAsync(MOVE_TIMEOUT_MS);
  expect([peers.length, old.closed, next.closed]).toEqual([2, true, false]);
  runner.dispatch({ kind: 'stop' });
});

it.each([
  ['the second session', true],
  ['a new one, where there is no second,', false],
])('takes %s in place of one that is of no use any more', async (_name, isMoving) => {
  const runner = isMoving ? (await moving()).runner : live();
  await vi.advanceTimersByTimeAsync(1);
  if (!isMoving) peers[0]?.events.onState('connected');
  runner.renew();
  await vi.advanceTimersByTimeAsync(MOVE_TIMEOUT_MS);
  expect([runner.peer, peers.length, peers[0]?.closed]).toEqual([peers[1], 2, true]);
  expect(peers[1]?.closed).toBe(false);
  runner.dispatch({ kind: 'stop' });
});

it('begins anew when both are lost', async () => {
  const { runner, old, next } = await moving();
  old.restartStatus = 404;
  next.events.onState('failed');
  old.events.onState('failed');
  await vi.advanceTimersByTimeAsync(1);
  expect([runner.status, next.closed]).toEqual(['reconnecting', true]);
  runner.dispatch({ kind: 'stop' });
});
