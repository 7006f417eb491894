import { closeSync, openSync } from 'node:fs';
import { describe, expect, it, onTestFinished } from 'vitest';
import { SrtcpSession, SrtpSession, RtpHeader as WeriftHeader } from 'werift';
import { type Receiver, UdpBed } from '../../transport/testing/udp-bed.ts';
import type { SrtpProfile } from '../../transport/types.ts';
import { describeFanoutEngine } from '../fanout-engine.contract.ts';
import type { SinkRules, WatchRoute } from '../fanout-engine.ts';
import { PortableEngine } from '../portable-engine.ts';
import { COPIED_COUNT } from '../source-packet.ts';
import { SRTP_OVERHEAD } from '../srtp/srtp-sender.ts';
import { keyPair } from '../testing/keys.ts';
import { drive, randomOf, randomPacket, type Way } from '../testing/random-course.ts';
import { TestPeer } from '../testing/test-peer.ts';
import { loadAddon } from './addon.ts';
import { NativeEngine } from './native-engine.ts';

const PROFILES: SrtpProfile[] = ['AEAD_AES_128_GCM', 'AES_CM_128_HMAC_SHA1_80'];
const RULES: SinkRules = {
  ssrc: 0xfeedbeef,
  payloadType: 100,
  rtx: { ssrc: 0xabc, payloadType: 101 },
  midId: 3,
  mid: 'v',
  copiedIds: new Uint8Array(COPIED_COUNT),
};
const MAPPING = { fromSequence: 0, sequenceDelta: 0, timestampDelta: 0 };
const addon = await loadAddon();

describeFanoutEngine('native', () => new NativeEngine(addon));

const PEERS = 5;
/** Of what `drive` sends as RTCP. */
const REPORT_START = 0x80c80006;

function expected(seed: number): Buffer[][] {
  const datagrams = Array.from({ length: PEERS }, (): Buffer[] => []);
  drive(
    new PortableEngine(),
    seed,
    datagrams.map((list) => ({ send: (datagram) => void list.push(Buffer.from(datagram)) })),
  );
  return datagrams;
}

/** By SSRC, and RTCP for itself: a report or a repetition by RTX may go ahead of media that wait for their frame. */
function byStream(datagrams: readonly Buffer[]): Record<string, Buffer[]> {
  // Payload types are random here: the first four bytes of the reports are what tells them.
  const isReport = (datagram: Buffer): boolean => datagram.readUInt32BE(0) === REPORT_START;
  const streamOf = (datagram: Buffer): string => (isReport(datagram) ? 'rtcp' : datagram.toString('hex', 8, 12));
  return Object.groupBy(datagrams, streamOf) as Record<string, Buffer[]>;
}

describe('the native engine beside the portable one', () => {
  it('writes the same bytes, whatever happens', () => {
    for (let seed = 1; seed <= 40; seed++) {
      const datagrams = Array.from({ length: PEERS }, (): Buffer[] => []);
      const engine = new NativeEngine(addon);
      drive(
        engine,
        seed,
        datagrams.map((list) => ({ send: (datagram) => void list.push(Buffer.from(datagram)) })),
      );
      expect(datagrams).toEqual(expected(seed));
    }
  });

  it('sends the same datagrams in the same order in each stream, cut by the kernel or not', async () => {
    await using bed = await UdpBed.open();
    let segmented = 0;
    for (let seed = 1; seed <= 10; seed++) {
      const receivers = await Promise.all(Array.from({ length: PEERS }, () => bed.receiver()));
      const engine = new NativeEngine(addon);
      const ways = receivers.map((receiver, i): Way => {
        // One is handed its datagrams: both kinds of peers share the groups.
        if (i === 3) return { send: (datagram) => void receiver.datagrams.push(Buffer.from(datagram)) };
        return { send: () => expect.unreachable(), watchRoute: (listener) => listener(bed.route(receiver)) };
      });
      drive(engine, seed, ways);
      const wanted = expected(seed);
      await Promise.all(receivers.map((receiver, i) => receiver.got(wanted[i]?.length ?? 0)));
      expect(receivers.map(({ datagrams }) => byStream(datagrams))).toEqual(wanted.map(byStream));
      const all = wanted.flat();
      expect(engine.counters).toEqual({
        packets: all.length,
        bytes: all.reduce((sum, { length }) => sum + length, 0),
        failed: 0,
      });
      segmented += engine.sending.segmented;
    }
    expect(segmented).toBeGreaterThan(0);
  });

  it.each(PROFILES)('speaks with werift (%s)', (profile) => {
    const engine = new NativeEngine(addon);
    const { node } = keyPair(7, profile);
    const sent: Buffer[] = [];
    const peer = engine.openPeer(node, (datagram) => void sent.push(Buffer.from(datagram)));
    const sink = engine.openSink(peer, RULES);
    const random = randomOf(3);
    const packets = [70_000, 70_001, 70_003].map((sequence) => randomPacket(random, sequence));
    for (const packet of packets) engine.sendOne(sink, packet, packet.sequence - 70_000, 5);
    const report = Buffer.alloc(28 + SRTP_OVERHEAD);
    report.set([0x80, 200, 0, 6]);
    engine.sendRtcp(peer, report, 28);

    const plain = Buffer.from([0x80, 200, 0, 6, ...Buffer.alloc(24)]);
    const options = {
      profile: profile === 'AEAD_AES_128_GCM' ? (7 as const) : (1 as const),
      keys: {
        localMasterKey: node.remoteKey,
        localMasterSalt: node.remoteSalt,
        remoteMasterKey: node.localKey,
        remoteMasterSalt: node.localSalt,
      },
    };
    const [srtp, srtcp] = [new SrtpSession(options), new SrtcpSession(options)];
    for (const [index, packet] of packets.entries()) {
      const opened = srtp.decrypt(sent[index] ?? Buffer.alloc(0));
      const header = WeriftHeader.deSerialize(opened);
      expect(header).toMatchObject({ ssrc: RULES.ssrc, payloadType: 100, timestamp: 5, marker: packet.header.marker });
      expect(opened.subarray(header.payloadOffset)).toEqual(packet.payload);
    }
    expect(srtcp.decrypt(sent[3] ?? Buffer.alloc(0))).toEqual(plain);
  });
});

describe('routes of the native engine', () => {
  /** A viewer that is reached over a socket, and can be moved. */
  function open(engine: NativeEngine, bed: UdpBed, receiver: Receiver) {
    const keys = keyPair(9);
    const client = new TestPeer(keys.peer);
    let listener: Parameters<WatchRoute>[0] = () => {};
    const peer = engine.openPeer(
      keys.node,
      () => expect.unreachable(),
      (given) => {
        listener = given;
        listener(bed.route(receiver));
      },
    );
    return {
      client,
      peer,
      sink: engine.openSink(peer, RULES),
      move: (to: Receiver | null) => listener(to && bed.route(to)),
    };
  }
  const packet = () => randomPacket(randomOf(1), 1);

  it.each([4, 6] as const)('follow the peer: what was sent before goes the old way (IPv%i)', async (family) => {
    await using bed = await UdpBed.open(family);
    const [before, after] = [await bed.receiver(), await bed.receiver()];
    const engine = new NativeEngine(addon);
    const viewer = open(engine, bed, before);
    engine.sendOne(viewer.sink, packet(), 1, 0);
    viewer.move(after);
    engine.sendOne(viewer.sink, packet(), 2, 0);
    for (const datagram of [...(await before.got(1)), ...(await after.got(1))]) viewer.client.receive(datagram);
    expect(viewer.client.rtp.map(({ sequence }) => sequence)).toEqual([1, 2]);
    expect([before.datagrams.length, after.datagrams.length]).toEqual([1, 1]);
  });

  it('end with the connection: what is sent then is counted as failed, and nothing reaches who comes next', async () => {
    await using bed = await UdpBed.open();
    const receiver = await bed.receiver();
    const engine = new NativeEngine(addon);
    const viewer = open(engine, bed, receiver);
    engine.sendOne(viewer.sink, packet(), 1, 0);
    viewer.move(null);
    engine.sendOne(viewer.sink, packet(), 2, 0);
    expect(engine.counters).toMatchObject({ packets: 1, failed: 1 });
    engine.closeSink(viewer.sink);
    engine.closePeer(viewer.peer);
    const next = open(engine, bed, receiver);
    viewer.move(null);
    engine.sendOne(next.sink, packet(), 3, 0);
    expect((await receiver.got(2)).length).toBe(2);
  });

  it('that the kernel refuses cost only their own viewer', async () => {
    await using bed = await UdpBed.open();
    const receiver = await bed.receiver();
    const engine = new NativeEngine(addon);
    const group = engine.openGroup();
    const well = open(engine, bed, receiver);
    const noSocket = openSync('/dev/null', 'w');
    onTestFinished(() => closeSync(noSocket));
    const broken = engine.openPeer(
      keyPair(11).node,
      () => {},
      (listener) => listener({ ...bed.route(receiver), fd: noSocket }),
    );
    for (const sink of [engine.openSink(broken, RULES), well.sink]) engine.join(group, sink, MAPPING);
    for (let i = 0; i < 3; i++) engine.fanout(group, packet());
    await receiver.got(3);
    expect(engine.counters).toMatchObject({ packets: 3, failed: 3 });
  });
});
