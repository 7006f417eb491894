import { expect, it } from 'vitest';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import { isRtcp } from '../forward/rtcp-mux.ts';
import { paddingLength, parseRtpHeader, RtpHeader } from '../forward/rtp-header.ts';
import { audioEgress, audioIngress, videoEgress, videoIngress } from '../forward/testing/plans.ts';
import { readContent } from '../forward/testing/rtp-source.ts';
import { World } from '../forward/testing/world.ts';
import type { RecorderThread } from './recorder-thread.ts';
import { RecordingTap } from './recording-tap.ts';
import { FIRST_PAYLOAD_TYPE, PACKET_HEAD_BYTES, type ToRecorder } from './worker-messages.ts';

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

/** RTP packets in what the thread was handed, in order. */
function packetsIn(messages: readonly ToRecorder[]) {
  const header = new RtpHeader();
  return messages.flatMap((message) => {
    if (message.type !== 'batch') return [];
    const data = Buffer.from(message.data, 0, message.bytes);
    const packets: { track: number; sequence: number; timestamp: number; payload: Buffer }[] = [];
    for (let at = 0; at < data.length; at += PACKET_HEAD_BYTES + data.readUInt32LE(at)) {
      const packet = data.subarray(at + PACKET_HEAD_BYTES, at + PACKET_HEAD_BYTES + data.readUInt32LE(at));
      if (isRtcp(packet) || !parseRtpHeader(packet, packet.length, header)) continue;
      const { sequence, timestamp, payloadType } = header;
      const payload = packet.subarray(header.length, packet.length - paddingLength(packet, packet.length, header));
      packets.push({ track: payloadType - FIRST_PAYLOAD_TYPE, sequence, timestamp, payload });
    }
    return packets;
  });
}

it('begun in mid-stream of a publisher that answers no PLI: all pictures since the keyframe, then all that comes', () => {
  const world = new World();
  const publisher = world.publisher([audioIngress(), videoIngress()]);
  const video = publisher.source({ ssrc: 0x1000, payloadType: 96 });
  const audio = publisher.source({ ssrc: 0x2000, payloadType: 111 });
  const messages: ToRecorder[] = [];
  const thread = {
    send: (message: ToRecorder) => {
      messages.push(message);
      return true;
    },
  };
  const play = (frames: number, keyframe = false): void => {
    for (let i = 0; i < frames; i++) {
      const [sound] = audio.frame(false, 1);
      if (sound !== undefined) publisher.media.receive(sound.datagram, world.nowMs);
      audio.timestamp += 1_600;
      world.frame(publisher, video, keyframe && i === 0);
    }
  };
  play(60, true);
  const context = { endpoint: null as never, forwarder: world.forwarder, now: () => world.nowMs, log: () => {} };
  const tap = new RecordingTap(
    { context, thread, recording: 1, lobby: 'room:a' as LobbyId, session: 's' as SessionId, format: 'mp4' },
    [
      { mid: '0', codec: audioEgress({}).codec, track: publisher.track('0') },
      { mid: '1', codec: videoEgress({}).codec, track: publisher.track('1') },
    ],
  );
  play(30);
  tap.close();

  const packets = packetsIn(messages);
  const pictures = packets.filter(({ track }) => track === 1);
  const contents = pictures.map(({ payload }) => readContent(payload));
  expect(contents[0]).toMatchObject({ frame: 0, index: 0, keyframe: true });
  expect(new Set(contents.map((content) => content?.frame)).size).toBe(90);
  pictures.forEach(({ sequence }, at) => {
    if (at > 0) expect((sequence - (pictures[at - 1]?.sequence ?? 0)) & 0xffff).toBe(1);
  });
  // What came live is as far apart as it was sent, and so is the sound beside it.
  const live = pictures.filter((_, at) => (contents[at]?.frame ?? 0) >= 60 && contents[at]?.index === 0);
  live.forEach(({ timestamp }, at) => {
    if (at > 0) expect((timestamp - (live[at - 1]?.timestamp ?? 0)) >>> 0).toBe(3_000);
  });
  const sounds = packets.filter(({ track }) => track === 0);
  expect(sounds.length).toBeGreaterThanOrEqual(30);
  sounds.forEach(({ timestamp }, at) => {
    if (at > 0) expect((timestamp - (sounds[at - 1]?.timestamp ?? 0)) >>> 0).toBe(1_600);
  });
});

it('another source in the place of the former one: what was before it may be half a picture, and that is said once', () => {
  const world = new World();
  const publishers = [world.publisher([videoIngress()]), world.publisher([videoIngress()])];
  const messages: ToRecorder[] = [];
  const thread = {
    send: (message: ToRecorder) => {
      messages.push(message);
      return true;
    },
  };
  const { codec } = videoEgress({});
  const context = { endpoint: null as never, forwarder: world.forwarder, now: () => world.nowMs, log: () => {} };
  const tracksOf = (at: number) => [{ mid: '1', codec, track: publishers[at]?.track('1') ?? null }];
  const tap = new RecordingTap(
    { context, thread, recording: 1, lobby: 'room:a' as LobbyId, session: 's' as SessionId, format: 'mp4' },
    tracksOf(0),
  );
  const play = (at: number): void => {
    const publisher = publishers[at];
    const source = publisher?.source({ ssrc: 0x1000, payloadType: 96, firstTimestamp: 1_000_000 * at });
    if (publisher !== undefined && source !== undefined) world.frame(publisher, source, true);
  };
  play(0);
  // The same again is nothing new.
  tap.attach(tracksOf(0));
  tap.flush();
  tap.detach();
  tap.attach(tracksOf(1));
  play(1);
  tap.attach(tracksOf(1));
  tap.flush();
  tap.close();
  const gaps = messages.flatMap((message) => (message.type === 'batch' ? [message.gap] : []));
  expect(gaps).toEqual([false, true]);
  const numbers = packetsIn(messages).map(({ sequence }) => sequence);
  // Nothing but this word tells the thread where one ends and the other begins.
  expect(new Set(numbers.slice(1).map((number, at) => (number - (numbers[at] ?? 0)) & 0xffff))).toEqual(new Set([1]));
});
