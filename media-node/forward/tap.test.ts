import { expect, it } from 'vitest';
import { isRtcp } from './rtcp-mux.ts';
import { videoEgress, videoIngress } from './testing/plans.ts';
import { World } from './testing/world.ts';

it('a tap gets plain packets from a keyframe on, and sender reports ahead of them', () => {
  const world = new World();
  const publisher = world.publisher([videoIngress()]);
  const source = publisher.source({ ssrc: 0x1000, payloadType: 96 });
  const datagrams: Buffer[] = [];
  const tap = world.forwarder.openEgress(
    {
      tracks: [videoEgress({ extensions: {}, rtxSsrc: null, rtxPayloadType: null })],
      keys: null,
      send: (datagram) => void datagrams.push(Buffer.from(datagram)),
      onAuthenticated: () => {},
    },
    world.nowMs,
  );
  world.pass(2000);
  for (let i = 0; i < 20; i++) world.frame(publisher, source, i === 0);
  tap.attach('v', publisher.track('1'), world.nowMs);
  for (let i = 0; i < 20; i++) world.frame(publisher, source);
  expect(datagrams.filter((datagram) => !isRtcp(datagram))).toEqual([]);
  expect(publisher.peer.plis.length).toBeGreaterThan(0);
  world.frame(publisher, source, true);
  const sent = source.frame(false, 1, 64);
  for (const { datagram } of sent) publisher.media.receive(datagram, world.nowMs);
  world.pass(20);
  // Nobody has the keys of a tap: what comes on it cannot be authentic.
  tap.receive(datagrams[0] ?? Buffer.alloc(0), world.nowMs);

  const rtp = datagrams.filter((datagram) => !isRtcp(datagram));
  const [report] = datagrams;
  expect(report?.[1]).toBe(200);
  // The packets that follow lie on the timeline of the report: 2 s and 40 frames later.
  const reportedMs = (((rtp[0]?.readUInt32BE(4) ?? 0) - (report?.readUInt32BE(16) ?? 0)) | 0) / 90;
  expect(Math.abs(reportedMs - 3333)).toBeLessThan(50);
  expect(rtp.every((packet) => packet.readUInt32BE(8) === 0x5000 && (packet[0] ?? 0) === 0x80)).toBe(true);
  // VP8 payload descriptor with S set, then a keyframe's tag (P bit clear).
  expect([(rtp[0]?.[12] ?? 0) & 0x10, (rtp[0]?.[13] ?? 1) & 1]).toEqual([0x10, 0]);
  expect(rtp.at(-1)).toHaveLength(12 + 64);
  expect(world.forwarder.counters.dropped).toBe(1);

  const asked = publisher.peer.plis.length;
  world.pass(1000);
  tap.requestKeyframe('v', world.nowMs);
  expect(publisher.peer.plis.length).toBe(asked + 1);
  tap.close();
});
