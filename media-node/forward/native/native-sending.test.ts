/** When and in which portions the native engine sends; what it does when there is too much. */
import { setImmediate as turn } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { UdpBed } from '../../transport/testing/udp-bed.ts';
import type { GroupHandle, SinkHandle } from '../fanout-engine.ts';
import { COPIED_COUNT } from '../source-packet.ts';
import { keyPair } from '../testing/keys.ts';
import { rules, sourcePacket } from '../testing/source-packets.ts';
import { loadAddon } from './addon.ts';
import { NativeEngine } from './native-engine.ts';

const MAPPING = { fromSequence: 0, sequenceDelta: 0, timestampDelta: 0 };
const DEADLINE_MS = 30_000;
/** Of 100 viewers each: some tenths of a second of load. */
const LOAD_PACKETS = 1_000;
const addon = await loadAddon();

interface Rig {
  engine: NativeEngine;
  group: GroupHandle;
  join(): SinkHandle;
  /** Packets to a sink, counted when they are protected. */
  sentTo(sink: SinkHandle): number;
  /** Until that many datagrams have left or were dropped; the turns of the event loop that it took. */
  settled(datagrams: number): Promise<number>;
}

async function rig(bed: UdpBed, framed = false): Promise<Rig> {
  const engine = new NativeEngine(addon);
  const receiver = await bed.receiver();
  const group = engine.openGroup({ sourceIds: new Uint8Array(COPIED_COUNT), framed });
  const counters = { packets: 0, bytes: 0 };
  return {
    engine,
    group,
    join() {
      const { node } = keyPair(5);
      const peer = engine.openPeer(
        node,
        () => expect.unreachable(),
        (listener) => listener(bed.route(receiver)),
      );
      const sink = engine.openSink(peer, rules());
      engine.join(group, sink, MAPPING);
      return sink;
    },
    sentTo(sink) {
      engine.sinkCounters(sink, counters);
      return counters.packets;
    },
    async settled(datagrams) {
      const deadlineMs = performance.now() + DEADLINE_MS;
      let turns = 0;
      for (; engine.counters.packets + engine.counters.failed + engine.sending.dropped < datagrams; turns++) {
        if (performance.now() > deadlineMs) throw new Error(`not sent: ${JSON.stringify(engine.counters)}`);
        await turn();
      }
      return turns;
    },
  };
}

describe('the native engine sends', () => {
  it('in slices, so that others have their turns; who comes or goes meanwhile gets what it is due', async () => {
    await using bed = await UdpBed.open();
    const { engine, group, join, sentTo, settled } = await rig(bed);
    const sinks = Array.from({ length: 1500 }, join);
    const fanout = (sequence: number) => engine.fanout(group, sourcePacket({ sequence }));
    for (let sequence = 0; sequence < 4; sequence++) fanout(sequence);
    await turn();
    await turn();
    const midway = engine.counters.packets;
    expect(midway).toBeGreaterThan(0);
    expect(midway).toBeLessThan(6000);
    // Some of those that had their turn, some that wait for it.
    const leaving = [0, 1, 700, 1498, 1499].map((index) => sinks[index] as SinkHandle);
    for (const sink of leaving) engine.leave(sink);
    const late = join();
    fanout(4);
    expect(await settled(6000 + 1496)).toBeGreaterThan(1);
    expect(leaving.map(sentTo)).toEqual([4, 4, 4, 4, 4]);
    expect(sentTo(late)).toBe(1);
    expect(sinks.filter((sink) => !leaving.includes(sink)).every((sink) => sentTo(sink) === 5)).toBe(true);
    expect(engine.counters).toMatchObject({ packets: 7496, failed: 0 });
    expect(engine.sending.dropped).toBe(0);
  });

  it.each([
    [true, 'in one go', true],
    [false, 'packet by packet', false],
  ])('a frame whose packets come one by one, under load: frames %s, %s', async (framed, _, cuts) => {
    await using bed = await UdpBed.open();
    const { engine, group, join, settled } = await rig(bed, framed);
    for (let i = 0; i < 100; i++) join();
    let sequence = 0;
    const packetsOfFrame = async () => {
      for (let i = 0; i < 5; i++) {
        engine.fanout(group, sourcePacket({ sequence: sequence++, marker: i === 4 }));
        await turn();
      }
    };
    // Load is what was offered in the last tenth of a second: also a machine that stood still meanwhile gets there.
    const endMs = performance.now() + DEADLINE_MS;
    const enough = () => (cuts ? engine.sending.segmented > 0 : sequence >= LOAD_PACKETS);
    while (!enough() && performance.now() < endMs) await packetsOfFrame();
    await settled(100 * sequence);
    expect(engine.sending.segmented > 0).toBe(cuts);
  });

  it('a frame that is not finished', async () => {
    await using bed = await UdpBed.open();
    const { engine, group, join, settled } = await rig(bed, true);
    for (let i = 0; i < 100; i++) join();
    const untilMs = performance.now() + 250;
    let sequence = 0;
    for (; performance.now() < untilMs; sequence++) {
      engine.fanout(group, sourcePacket({ sequence }));
      await turn();
    }
    await settled(100 * sequence);
    expect(engine.counters.packets).toBe(100 * sequence);
  });

  it('late, and counts it', async () => {
    await using bed = await UdpBed.open();
    const { engine, group, join, settled } = await rig(bed);
    join();
    engine.fanout(group, sourcePacket({ sequence: 1 }));
    const untilMs = performance.now() + 20;
    while (performance.now() < untilMs);
    await settled(1);
    expect([engine.counters.packets, engine.sending.delayed]).toEqual([1, 1]);
  });

  it('no more than a bounded number of waiting packets, and counts the others', async () => {
    await using bed = await UdpBed.open();
    const { engine, group, join, settled } = await rig(bed);
    const sink = join();
    for (let sequence = 0; sequence < 2500; sequence++) engine.fanout(group, sourcePacket({ sequence }));
    await settled(2500);
    expect([engine.counters.packets, engine.sending.dropped]).toEqual([2048, 452]);
    engine.closeSink(sink);
  });

  it('nothing that has been overwritten in the log', async () => {
    await using bed = await UdpBed.open();
    const { engine, group, join, settled } = await rig(bed);
    join();
    const log = engine.openLog(group, 1000);
    for (let sequence = 0; sequence < 3; sequence++) {
      const packet = sourcePacket({ sequence, payload: Buffer.alloc(488) });
      packet.logStart = sequence * 500;
      packet.bytes.copy(log, packet.logStart % 1000);
      engine.fanout(group, packet);
    }
    await settled(3);
    expect([engine.counters.packets, engine.sending.dropped]).toEqual([2, 1]);
  });

  it('what waits in a log that was replaced', async () => {
    await using bed = await UdpBed.open();
    const { engine, group, join, settled } = await rig(bed);
    join();
    for (let sequence = 0; sequence < 3; sequence++) {
      const log = engine.openLog(group, 1000);
      const packet = sourcePacket({ sequence });
      packet.logStart = 0;
      packet.bytes.copy(log);
      engine.fanout(group, packet);
    }
    await settled(3);
    expect(engine.counters.packets).toBe(3);
  });

  it('what was promised before a group, a sink or a peer is closed', async () => {
    await using bed = await UdpBed.open();
    const { engine, group, join, settled } = await rig(bed);
    const sinks = [join(), join()];
    engine.fanout(group, sourcePacket({ sequence: 1 }));
    engine.closeGroup(group);
    for (const sink of sinks) engine.closeSink(sink);
    await settled(2);
    expect(engine.counters).toMatchObject({ packets: 2, failed: 0 });
  });
});
