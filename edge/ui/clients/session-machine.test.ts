import { describe, expect, it } from 'vitest';
import { fc } from '../../../shared/test-support/properties.ts';
import {
  DISCONNECT_PATIENCE_MS,
  JOIN_TIMEOUT_MS,
  MAX_RESTARTS,
  PROBE_INTERVAL_MS,
  RESTART_TIMEOUT_MS,
  STALL_LIMIT_MS,
  step,
} from './session-machine.ts';
import { initialSession, type Role, type SessionEvent, type SessionMachine, sessionStatus } from './session-state.ts';

/** Feeds events at given times; keeps the last state and all effects. */
class Driver {
  state: SessionMachine;
  now = 0;
  effects: string[] = [];

  constructor(role: Role) {
    this.state = initialSession(role);
  }

  send(event: SessionEvent, afterMs = 0): this {
    this.now += afterMs;
    const next = step(this.state, event, this.now, 0.5);
    this.state = next.state;
    this.effects.push(...next.effects.map((effect) => ('cause' in effect ? `fail:${effect.cause}` : effect.kind)));
    return this;
  }

  /** Delivers the tick that is due. */
  tick(): this {
    if (this.state.wakeAt === null) throw new Error('No tick is due');
    this.now = Math.max(this.now, this.state.wakeAt);
    return this.send({ kind: 'tick' });
  }

  take(): string[] {
    return this.effects.splice(0);
  }

  get status(): string {
    return sessionStatus(this.state);
  }
}

function live(role: Role, stableForMs = 60_000): Driver {
  const driver = new Driver(role).send({ kind: 'start' }).send({ kind: 'opened' });
  driver.send({ kind: 'peer', state: 'connected' }).send({ kind: 'flowing' }, stableForMs);
  driver.take();
  return driver;
}

const failed = (status: number | null, retryAfterMs: number | null = null): SessionEvent => ({
  kind: 'openFailed',
  status,
  retryAfterMs,
});

describe('opening', () => {
  it('goes from idle to live', () => {
    const driver = new Driver('play');
    expect(driver.status).toBe('idle');
    expect(driver.send({ kind: 'start' }).status).toBe('connecting');
    expect(driver.send({ kind: 'opened' }).status).toBe('connecting');
    expect(driver.send({ kind: 'peer', state: 'connected' }).status).toBe('live');
    expect(driver.take()).toEqual(['open']);
  });

  it.each([400, 401, 403, 413, 415, 422])('gives up on %i in either role', (status) => {
    for (const role of ['publish', 'play'] as const) {
      const driver = new Driver(role).send({ kind: 'start' }).send(failed(status));
      expect(driver.status).toBe('failed');
      expect(driver.take()).toEqual(['open', 'close', 'fail:refused']);
    }
  });

  it.each([404, 409])('lets a viewer wait for the publisher on %i, without flicker while it asks again', (status) => {
    const driver = new Driver('play').send({ kind: 'start' }).send(failed(status));
    expect(driver.status).toBe('waiting');
    expect(driver.tick().status).toBe('waiting');
    expect(driver.send({ kind: 'opened' }).status).toBe('connecting');
  });

  it.each([null, 429, 500, 503])('lets a viewer try again on %s', (status) => {
    const driver = new Driver('play').send({ kind: 'start' }).send(failed(status)).tick();
    expect(driver.status).toBe('connecting');
    expect(driver.take()).toEqual(['open', 'close', 'open']);
  });

  it('honours Retry-After even when the page is looked at again', () => {
    const driver = new Driver('play').send({ kind: 'start' }).send(failed(503, 5_000));
    expect(driver.state.wakeAt).toBeGreaterThanOrEqual(5_000);
    driver.send({ kind: 'nudge' }).send({ kind: 'networkChanged' });
    expect(driver.take()).toEqual(['open', 'close']);
  });

  it('shortens a wait of its own when the page is looked at again', () => {
    const driver = new Driver('play').send({ kind: 'start' }).send(failed(404)).send({ kind: 'nudge' });
    expect(driver.take()).toEqual(['open', 'close', 'open']);
  });

  it.each([404, 409, 503, null])('tells a publisher of %s at once: a person pressed the button', (status) => {
    const driver = new Driver('publish').send({ kind: 'start' }).send(failed(status));
    expect(driver.status).toBe('failed');
  });

  it('waits longer from one failure to the next', () => {
    const driver = new Driver('play').send({ kind: 'start' });
    const waits = [0, 1, 2, 3].map(() => {
      driver.send(failed(503));
      const wait = (driver.state.wakeAt ?? 0) - driver.now;
      driver.tick();
      return wait;
    });
    expect(waits).toEqual([...waits].sort((a, b) => a - b));
    expect(new Set(waits).size).toBe(4);
  });

  it('does not wait for ever for ICE and DTLS', () => {
    const viewer = new Driver('play').send({ kind: 'start' }).send({ kind: 'opened' });
    expect(viewer.send({ kind: 'tick' }, JOIN_TIMEOUT_MS - 1).state.phase).toBe('joining');
    expect(viewer.send({ kind: 'tick' }, 1).state.phase).toBe('backoff');
    const publisher = new Driver('publish').send({ kind: 'start' }).send({ kind: 'opened' }).tick();
    expect(publisher.take()).toEqual(['open', 'close', 'fail:no_path']);
  });
});

describe('repair', () => {
  it('only asks about a trouble that heals by itself', () => {
    const driver = live('play').send({ kind: 'peer', state: 'disconnected' });
    expect(driver.status).toBe('reconnecting');
    driver.send({ kind: 'peer', state: 'connected' }, DISCONNECT_PATIENCE_MS - 1);
    expect(driver.status).toBe('live');
    expect(driver.take()).toEqual(['probe']);
  });

  it.each<Role>(['publish', 'play'])('%s: opens anew at once when the server has lost the session', (role) => {
    const driver = live(role).send({ kind: 'peer', state: 'disconnected' }).send({ kind: 'probed', status: 404 }, 10);
    expect(driver.state.phase).toBe('backoff');
    expect(driver.tick().take()).toEqual(['probe', 'close', 'open']);
  });

  it('restarts ICE when it does not', () => {
    const driver = live('publish').send({ kind: 'peer', state: 'disconnected' }).tick();
    expect(driver.take()).toEqual(['probe', 'restart']);
    driver.send({ kind: 'restarted', connected: false }).send({ kind: 'peer', state: 'connected' });
    expect(driver.status).toBe('live');
  });

  it.each<SessionEvent>([{ kind: 'peer', state: 'failed' }, { kind: 'networkChanged' }])(
    'restarts ICE at once on %o',
    (event) => {
      expect(live('play').send(event).take()).toEqual(['restart']);
    },
  );

  it('is live again after a restart on a path that never broke', () => {
    const driver = live('play').send({ kind: 'networkChanged' }).send({ kind: 'restarted', connected: true });
    expect(driver.status).toBe('live');
    expect(driver.state.wakeAt).toBeNull();
  });

  it.each([404, 410, 405, 422, 501, 412])('opens a new session when the restart is refused with %i', (status) => {
    const driver = live('play').send({ kind: 'networkChanged' }).send({ kind: 'restartFailed', status });
    expect(driver.status).toBe('reconnecting');
    expect(driver.tick().take()).toEqual(['restart', 'close', 'open']);
  });

  it.each([null, 500, 503, 429])('tries the restart again on %s, then a new session', (status) => {
    const driver = live('publish').send({ kind: 'peer', state: 'failed' });
    for (let at = 0; at < MAX_RESTARTS; at++) driver.send({ kind: 'restartFailed', status }).tick();
    expect(driver.take()).toEqual([...Array(MAX_RESTARTS).fill('restart'), 'close']);
    expect(driver.tick().take()).toEqual(['open']);
  });

  it('counts a restart without a result as failed', () => {
    const driver = live('play').send({ kind: 'peer', state: 'failed' }).send({ kind: 'restarted', connected: false });
    expect(driver.send({ kind: 'tick' }, RESTART_TIMEOUT_MS).take()).toEqual(['restart', 'restart']);
  });

  it('backs off further when sessions do not last', () => {
    const stable = live('play').send({ kind: 'peer', state: 'ended' });
    const short = live('play', 100).send({ kind: 'peer', state: 'ended' }).tick();
    short.send({ kind: 'opened' }).send({ kind: 'peer', state: 'connected' }).send({ kind: 'peer', state: 'ended' });
    expect((short.state.wakeAt ?? 0) - short.now).toBeGreaterThan((stable.state.wakeAt ?? 0) - stable.now);
  });
});

describe('silence', () => {
  it('keeps the session of a publisher who may return, and needs nothing when it does', () => {
    const driver = live('play').send({ kind: 'silent' });
    expect(driver.status).toBe('waiting');
    driver.send({ kind: 'probed', status: 200 }).tick().send({ kind: 'probed', status: null });
    expect(driver.send({ kind: 'flowing' }).status).toBe('live');
    expect(driver.take()).toEqual(['probe', 'probe']);
  });

  it.each([404, 410])('opens a new session when the old one is unknown (%i)', (status) => {
    const driver = live('play').send({ kind: 'silent' }).send({ kind: 'probed', status });
    expect(driver.take()).toEqual(['probe', 'close']);
    expect(driver.status).toBe('reconnecting');
  });

  it('gives a silent session up in the end', () => {
    const driver = live('play').send({ kind: 'silent' });
    for (let at = 0; at < STALL_LIMIT_MS / PROBE_INTERVAL_MS; at++) driver.tick();
    expect(driver.state.phase).toBe('backoff');
  });

  it('lets a publisher ask, long before ICE notices; as long as the session is there, it is live', () => {
    const driver = live('publish').send({ kind: 'silent' }).send({ kind: 'probed', status: 503 }).tick();
    expect(driver.status).toBe('live');
    expect(driver.send({ kind: 'probed', status: 200 }).send({ kind: 'flowing' }).state.phase).toBe('live');
    expect(driver.take()).toEqual(['probe', 'probe']);
  });

  it('brings a publisher back as soon as the server has lost its session', () => {
    const driver = live('publish').send({ kind: 'silent' }).send({ kind: 'probed', status: 404 });
    expect(driver.status).toBe('reconnecting');
    expect(driver.tick().take()).toEqual(['probe', 'close', 'open']);
  });

  it('of a publisher is no reason to wait when ICE notices, too', () => {
    const driver = live('publish').send({ kind: 'silent' }).send({ kind: 'peer', state: 'disconnected' });
    expect(driver.status).toBe('reconnecting');
    expect(driver.tick().take()).toEqual(['probe', 'probe', 'restart']);
  });
});

describe('a session that is of no use any more', () => {
  it.each<Role>(['publish', 'play'])('is left for another one: %s', (role) => {
    const driver = live(role).send({ kind: 'useless' });
    expect([driver.take(), driver.status]).toEqual([['close'], 'reconnecting']);
    expect(driver.tick().take()).toEqual(['open']);
  });

  it('is no matter for a publisher who was told that it has ended, nor while the next one comes', () => {
    const told = live('publish').send({ kind: 'peer', state: 'ended' }).send({ kind: 'useless' });
    expect(told.send({ kind: 'probed', status: 404 }).status).toBe('failed');
    const coming = live('publish').send({ kind: 'useless' }).tick();
    coming.take();
    expect(coming.send({ kind: 'useless' }).take()).toEqual([]);
  });
});

describe('a close by the server', () => {
  it('brings a viewer back, or lets it wait', () => {
    const driver = live('play').send({ kind: 'peer', state: 'ended' });
    expect(driver.status).toBe('reconnecting');
    expect(driver.tick().send(failed(404)).status).toBe('waiting');
  });

  it('ends a publisher when the edge confirms it', () => {
    const driver = live('publish').send({ kind: 'peer', state: 'ended' }).send({ kind: 'probed', status: 404 });
    expect(driver.take()).toEqual(['probe', 'close', 'fail:ended']);
    expect(driver.status).toBe('failed');
  });

  it.each([null, 200, 503])('brings a publisher back when the edge says %s', (status) => {
    const driver = live('publish').send({ kind: 'peer', state: 'ended' }).send({ kind: 'probed', status }).tick();
    expect(driver.take()).toEqual(['probe', 'close', 'open']);
    expect(driver.send(failed(409)).status).toBe('reconnecting');
  });
});

describe('any course of events', () => {
  const status = fc.constantFrom(null, 200, 401, 404, 409, 429, 500, 503);
  const event: fc.Arbitrary<SessionEvent> = fc.oneof(
    fc.constantFrom<SessionEvent>(
      { kind: 'start' },
      { kind: 'stop' },
      { kind: 'opened' },
      { kind: 'restarted', connected: false },
      { kind: 'restarted', connected: true },
      { kind: 'silent' },
      { kind: 'flowing' },
      { kind: 'networkChanged' },
      { kind: 'useless' },
      { kind: 'nudge' },
      { kind: 'tick' },
    ),
    fc.record({
      kind: fc.constant('peer' as const),
      state: fc.constantFrom('connecting', 'connected', 'disconnected', 'failed', 'ended'),
    }),
    fc.record({ kind: fc.constant('openFailed' as const), status, retryAfterMs: fc.option(fc.nat(10_000)) }),
    fc.record({ kind: fc.constant('restartFailed' as const), status }),
    fc.record({ kind: fc.constant('probed' as const), status }),
  );

  it('never has two sessions, never hangs without a timer, and always stops', () => {
    const course = fc.array(fc.tuple(event, fc.nat(20_000)), { maxLength: 60 });
    fc.assert(
      fc.property(fc.constantFrom<Role>('publish', 'play'), course, (role, events) => {
        const driver = new Driver(role);
        let open = false;
        for (const [next, afterMs] of events) {
          driver.send(next, afterMs);
          for (const effect of driver.take()) {
            if (effect === 'open') {
              expect(open).toBe(false);
              open = true;
            }
            if (effect === 'close') open = false;
            if (effect === 'restart' || effect === 'probe') expect(open).toBe(true);
          }
          // These phases end by an answer (or its time-out) or by the user; all others need a timer of their own.
          const waits = ['idle', 'opening', 'live', 'stopped', 'failed'].includes(driver.state.phase);
          expect(driver.state.wakeAt !== null).toBe(!waits);
        }
        driver.send({ kind: 'stop' });
        expect(['stopped', 'failed', 'idle']).toContain(driver.status);
      }),
      { numRuns: 3_000 },
    );
  });
});
