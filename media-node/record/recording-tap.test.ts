import { expect, it } from 'vitest';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import { videoEgress, videoIngress } from '../forward/testing/plans.ts';
import { World } from '../forward/testing/world.ts';
import type { RecorderThread } from './recorder-thread.ts';
import { RecordingTap } from './recording-tap.ts';
import type { ToRecorder } from './worker-messages.ts';

const MAX_OUTSTANDING_BYTES = 8 * 1024 * 1024;
const FRAME_PACKETS = 10;
const PAYLOAD_BYTES = 1_000;

it('a thread that takes nothing costs no packet its way and no memory without end; the gap is told', () => {
  const world = new World();
  const publisher = world.publisher([videoIngress()]);
  const source = publisher.source({ ssrc: 0x1000, payloadType: 96 });
  const messages: ToRecorder[] = [];
  const logs: string[] = [];
  const context = {
    endpoint: null as never,
    forwarder: world.forwarder,
    now: () => world.nowMs,
    log: (message: string) => void logs.push(message),
  };
  const thread = {
    send: (message: ToRecorder) => {
      messages.push(message);
      return true;
    },
  } as unknown as RecorderThread;
  const tap = new RecordingTap(
    { context, thread, recording: 1, lobby: 'room:a' as LobbyId, session: 's' as SessionId, format: 'mp4' },
    [{ mid: '1', codec: videoEgress({}).codec, track: publisher.track('1') }],
  );
  const frames = (count: number): void => {
    for (let i = 0; i < count; i++) {
      for (const { datagram } of source.frame(i === 0, FRAME_PACKETS, PAYLOAD_BYTES)) {
        publisher.media.receive(datagram, world.nowMs);
      }
    }
    tap.flush();
  };
  const batches = () => messages.filter((message) => message.type === 'batch');
  const bytes = () => batches().reduce((sum, message) => sum + message.bytes, 0);

  frames(1_500);
  expect(bytes()).toBeGreaterThan(MAX_OUTSTANDING_BYTES);
  expect(bytes()).toBeLessThan(MAX_OUTSTANDING_BYTES + 128 * 1024);
  expect(tap.dropped).toBeGreaterThan(5_000);
  const asked = publisher.peer.plis.length;
  const before = batches().length;
  // Less than half of it: not yet.
  tap.taken(1024 * 1024);
  frames(1);
  expect(batches()).toHaveLength(before);
  tap.taken(bytes() - 1024 * 1024);
  world.pass(1_000);
  expect(publisher.peer.plis.length).toBeGreaterThan(asked);
  frames(1);
  frames(1);
  expect(
    batches()
      .slice(before)
      .map((message) => message.gap),
  ).toEqual([true, false]);
  expect(logs.join()).toContain('the disk was too slow');
  tap.close();
  expect(messages.at(-1)).toEqual({ type: 'close', recording: 1 });
});
