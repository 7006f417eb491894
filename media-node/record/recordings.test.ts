import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import { videoEgress, videoIngress } from '../forward/testing/plans.ts';
import { World } from '../forward/testing/world.ts';
import type { RecorderThreadEvents } from './recorder-thread.ts';
import { Recordings } from './recordings.ts';
import type { OpenRecording, RecorderSettings, ToRecorder } from './worker-messages.ts';

const LOBBY = 'room:a' as LobbyId;
const TICK_MS = 100;

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Recordings whose thread is played by the test. */
class Stage {
  readonly sent: ToRecorder[] = [];
  readonly thread = {
    running: true,
    send: (message: ToRecorder) => {
      if (this.thread.running) this.sent.push(message);
      return this.thread.running;
    },
    stop: async () => {},
  };
  readonly recordings: Recordings;
  #events: RecorderThreadEvents | null = null;
  readonly #world = new World();
  readonly #publisher = this.#world.publisher([videoIngress()]);

  constructor() {
    const { forwarder } = this.#world;
    const context = { endpoint: null as never, forwarder, now: () => this.#world.nowMs, log: () => {} };
    this.recordings = new Recordings({
      context,
      settings: {} as RecorderSettings,
      openThread: (_, events) => {
        this.#events = events;
        return this.thread;
      },
    });
    this.recordings.want(LOBBY, { format: 'mp4' });
  }

  publish(session: string): void {
    const track = { mid: '1', codec: videoEgress({}).codec, track: this.#publisher.track('1') };
    this.recordings.present(LOBBY, [{ session: session as SessionId, replaces: null, tracks: [track] }]);
  }

  die(): void {
    this.thread.running = false;
    this.#events?.onDied();
  }

  comeBack(): void {
    this.thread.running = true;
    vi.advanceTimersByTime(TICK_MS);
  }

  /** The thread could not go on with the newest recording. */
  fail(): void {
    const recording = this.sent.filter(({ type }) => type === 'open').length;
    this.#events?.onMessage({ type: 'ended', recording, error: 'the disk is full' });
  }

  say(message: Parameters<RecorderThreadEvents['onMessage']>[0]): void {
    this.#events?.onMessage(message);
  }

  /** Time goes by, and nobody says anything. */
  pass(ms: number): void {
    this.#world.pass(ms);
    vi.advanceTimersByTime(TICK_MS);
  }

  get opened(): string[] {
    return this.sent
      .filter((message): message is OpenRecording => message.type === 'open')
      .map(({ session }) => session);
  }
}

it('a thread that died records everybody again when it is back', async () => {
  const stage = new Stage();
  stage.publish('a');
  stage.die();
  vi.advanceTimersByTime(TICK_MS);
  expect(stage.opened).toEqual(['a']);
  stage.comeBack();
  expect(stage.opened).toEqual(['a', 'a']);
  expect(stage.recordings.size).toBe(1);
  await stage.recordings.close();
});

it('who comes while there is no thread is recorded by the next', async () => {
  const stage = new Stage();
  stage.publish('a');
  stage.die();
  stage.publish('b');
  expect(stage.recordings.size).toBe(0);
  stage.comeBack();
  expect(stage.opened).toEqual(['a', 'b']);
  await stage.recordings.close();
});

it('who was there each time that the thread died is left alone', async () => {
  const stage = new Stage();
  stage.publish('a');
  for (let deaths = 0; deaths < 5; deaths++) {
    stage.die();
    stage.comeBack();
  }
  expect(stage.opened).toEqual(['a', 'a', 'a']);
  await stage.recordings.close();
});

it('whose recording failed is recorded again when it is switched off and on', async () => {
  const stage = new Stage();
  stage.publish('a');
  stage.fail();
  stage.publish('a');
  expect(stage.opened).toEqual(['a']);
  stage.recordings.want(LOBBY, null);
  stage.recordings.want(LOBBY, { format: 'mp4' });
  expect(stage.opened).toEqual(['a', 'a']);
  await stage.recordings.close();
});

it('whose recording failed is tried again after ten minutes; who killed the thread each time is not', async () => {
  const stage = new Stage();
  stage.publish('a');
  stage.fail();
  stage.pass(599_000);
  expect(stage.opened).toEqual(['a']);
  stage.pass(2_000);
  expect(stage.opened).toEqual(['a', 'a']);
  for (let deaths = 0; deaths < 3; deaths++) {
    stage.die();
    stage.comeBack();
  }
  const opened = stage.opened.length;
  stage.pass(1_300_000);
  expect(stage.opened).toHaveLength(opened);
  await stage.recordings.close();
});

it('is busy until the thread has finished what was opened, and what it found', async () => {
  const stage = new Stage();
  expect(stage.recordings.busy).toBe(false);
  stage.publish('a');
  expect(stage.recordings.busy).toBe(true);
  stage.say({ type: 'left', opened: 1, files: 1 });
  stage.recordings.want(LOBBY, null);
  // Said before it heard of the end.
  expect(stage.recordings.busy).toBe(true);
  stage.say({ type: 'left', opened: 1, files: 0 });
  expect(stage.recordings.busy).toBe(false);
  // Of the next one it has heard nothing yet.
  stage.recordings.want(LOBBY, { format: 'mp4' });
  stage.recordings.want(LOBBY, null);
  expect(stage.recordings.busy).toBe(true);
  stage.say({ type: 'left', opened: 2, files: 0 });
  expect(stage.recordings.busy).toBe(false);
  // What its predecessor left is its successor's.
  stage.die();
  stage.comeBack();
  expect(stage.recordings.busy).toBe(true);
  stage.say({ type: 'left', opened: 0, files: 0 });
  expect(stage.recordings.busy).toBe(false);
  await stage.recordings.close();
});

it('a node that is about to leave waits for nobody who is away', async () => {
  const stage = new Stage();
  stage.publish('a');
  stage.recordings.present(LOBBY, []);
  expect(stage.recordings.size).toBe(1);
  stage.recordings.leave();
  expect(stage.recordings.size).toBe(0);
  stage.publish('b');
  expect(stage.recordings.size).toBe(1);
  stage.recordings.present(LOBBY, []);
  expect(stage.recordings.size).toBe(0);
  await stage.recordings.close();
});
