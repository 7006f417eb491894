import { describe, expect, it } from 'vitest';
import type { Feedback } from '../negotiate/plan.ts';
import { audioEgress, audioIngress, videoEgress, videoIngress } from './testing/plans.ts';
import { EPOCH_MS, World } from './testing/world.ts';

const RECEIVER_REPORT = 201;
const SENDER_REPORT = 200;
const SOURCE_DESCRIPTION = 202;
const TRANSPORT_FEEDBACK = 205;
const NTP_UNIX_MS = 2_208_988_800_000;
const VIDEO = { ssrc: 0x1000, payloadType: 96 };
const AUDIO = { ssrc: 0x2000, payloadType: 111 };

describe('to the publisher', () => {
  it('receiver reports with CNAME each second, with what was lost', () => {
    const world = new World();
    const publisher = world.publisher([videoIngress()]);
    const source = publisher.source(VIDEO);
    for (let i = 0; i < 65; i++) {
      world.frame(publisher, source, i === 0);
      if (i === 40) source.frame(false, 3);
    }
    expect(publisher.peer.blocks.length).toBe(3);
    expect(publisher.peer.blocks.at(-1)).toMatchObject({ ssrc: 0x1000, lost: 3 });
    for (const types of publisher.peer.compounds)
      expect(types.slice(0, 2)).toEqual([RECEIVER_REPORT, SOURCE_DESCRIPTION]);
    expect(publisher.media.stats(world.nowMs)[0]?.layers[0]).toMatchObject({ lost: 3, keyframes: 1, packets: 195 });
  });

  it('asks for lost packets and takes them by RTX, in place for the viewers', () => {
    const world = new World();
    const publisher = world.publisher([videoIngress()]);
    const source = publisher.source({ ...VIDEO, rtx: { ssrc: 0x1001, payloadType: 97 } });
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    world.frame(publisher, source, true);
    const [lost, ...rest] = source.frame(false, 4);
    for (const { datagram } of rest) publisher.media.receive(datagram, world.nowMs);
    world.pass(20);
    expect(publisher.peer.nacks).toEqual([{ mediaSsrc: 0x1000, sequence: lost?.sequence }]);
    expect(viewer.peer.rtp.length).toBe(6);
    const repaired = source.retransmit(lost?.sequence ?? 0, () => false);
    publisher.media.receive(repaired ?? Buffer.alloc(0), world.nowMs);
    expect(viewer.peer.rtp.length).toBe(7);
    const sequences = viewer.peer.rtp.map((packet) => packet.sequence - (viewer.peer.rtp[0]?.sequence ?? 0));
    expect(sequences).toEqual([0, 1, 2, 4, 5, 6, 3]);
    publisher.media.receive(source.retransmit(lost?.sequence ?? 0, () => false) ?? Buffer.alloc(0), world.nowMs);
    expect(viewer.peer.rtp.length).toBe(7);
    expect(publisher.media.stats(world.nowMs)[0]?.layers[0]).toMatchObject({ recovered: 1, nacksSent: 1 });
  });

  it('sends transport-wide feedback when negotiated, and REMB only without it', () => {
    const feedback: Feedback = { nack: true, pli: true, fir: false, remb: true, transportCc: true };
    const world = new World();
    const both = world.publisher([videoIngress({ feedback })]);
    const onlyRemb = world.publisher([videoIngress({ feedback: { ...feedback, transportCc: false } })]);
    let sequence = 0;
    const source = both.source({ ...VIDEO, extensions: { 3: Buffer.alloc(2) } });
    const other = onlyRemb.source(VIDEO);
    for (let i = 0; i < 40; i++) {
      source.options.extensions = { 3: Buffer.from([0, sequence++]) };
      world.frame(both, source, i === 0, 1);
      world.frame(onlyRemb, other, i === 0, 1);
    }
    const withFeedback = both.peer.compounds.filter((types) => types.includes(TRANSPORT_FEEDBACK));
    expect(withFeedback.length).toBeGreaterThan(20);
    expect(both.peer.rembs).toEqual([]);
    expect(onlyRemb.peer.compounds.some((types) => types.includes(TRANSPORT_FEEDBACK))).toBe(false);
    expect(onlyRemb.peer.rembs.length).toBe(3);
    expect(Math.min(...onlyRemb.peer.rembs)).toBeGreaterThan(10_000_000);
  });

  it('passes on that a viewer cannot decode, throttled', () => {
    const world = new World();
    const publisher = world.publisher([videoIngress()]);
    const source = publisher.source(VIDEO);
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    world.frame(publisher, source, true);
    for (let i = 0; i < 5; i++)
      viewer.media.receive(
        viewer.peer.rtcp((rtcp) => rtcp.pli(1, 0x5000)),
        world.nowMs,
      );
    viewer.media.receive(
      viewer.peer.rtcp((rtcp) => rtcp.fir(1, 0x5000, 3)),
      world.nowMs,
    );
    expect(publisher.peer.plis).toEqual([0x1000]);
    expect(viewer.media.stats(world.nowMs)[0]?.plisReceived).toBe(6);
    world.frame(publisher, source, true);
    world.pass(3000);
    expect(publisher.peer.plis).toEqual([0x1000]);
  });

  it('a stream that says BYE ends, and may begin again', () => {
    const world = new World();
    const publisher = world.publisher([videoIngress()]);
    const source = publisher.source(VIDEO);
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    world.frame(publisher, source, true);
    publisher.media.receive(
      publisher.peer.rtcp((rtcp) => rtcp.bye(0x1000)),
      world.nowMs,
    );
    expect(publisher.media.stats(world.nowMs)[0]?.layers).toEqual([]);
    world.frame(publisher, source);
    world.frame(publisher, source, true);
    expect(viewer.peer.rtp.length).toBe(6);
    expect(publisher.media.stats(world.nowMs)[0]?.layers.length).toBe(1);
  });
});

describe('to the viewer', () => {
  /** NTP time of the publisher's clock, which is an hour ahead of ours, when it captures at `nowMs`. */
  const publisherNtp = (nowMs: number): [high: number, low: number] => {
    const ms = nowMs + EPOCH_MS + 3_600_000 + NTP_UNIX_MS;
    return [Math.floor(ms / 1000) >>> 0, Math.floor(((ms % 1000) / 1000) * 2 ** 32) >>> 0];
  };

  it('sender reports start soon, count what was sent, and keep sound and picture together', () => {
    const world = new World();
    const publisher = world.publisher([audioIngress(), videoIngress()]);
    const video = publisher.source({ ...VIDEO, firstTimestamp: 5_000_000 });
    const audio = publisher.source({ ...AUDIO, firstTimestamp: 70_000 });
    const viewer = world.viewer([audioEgress(), videoEgress()]);
    viewer.media.attach('a', publisher.track('0'), world.nowMs);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    const captured: { nowMs: number; video: number; audio: number }[] = [];
    for (let i = 0; i < 60; i++) {
      // The picture needs 40 ms longer than the sound to get here; what is said of the times must not care.
      if (i === 2) {
        const [high, low] = publisherNtp(world.nowMs);
        const [earlierHigh, earlierLow] = publisherNtp(world.nowMs - 40);
        publisher.media.receive(
          publisher.peer.rtcp((rtcp) => {
            rtcp.senderReport(0x1000, earlierHigh, earlierLow, video.timestamp, 1, 1);
            rtcp.senderReport(0x2000, high, low, audio.timestamp, 1, 1);
          }),
          world.nowMs,
        );
      }
      captured.push({ nowMs: world.nowMs, video: video.timestamp, audio: audio.timestamp });
      publisher.media.receive(audio.packet(Buffer.from([i])).datagram, world.nowMs);
      audio.timestamp += 1600;
      world.frame(publisher, video, i === 0);
    }
    const reports = viewer.peer.reports;
    for (const types of viewer.peer.compounds) expect(types).toEqual([SENDER_REPORT, SOURCE_DESCRIPTION]);
    expect(reports.filter(({ ssrc }) => ssrc === 0x5000).length).toBeGreaterThanOrEqual(3);
    const lastVideo = reports.filter(({ ssrc }) => ssrc === 0x5000).at(-1);
    const lastAudio = reports.filter(({ ssrc }) => ssrc === 0x6000).at(-1);
    expect(lastVideo?.packets).toBeGreaterThan(100);
    expect(lastVideo?.bytes).toBe((lastVideo?.packets ?? 0) * 200);
    // Frame 30 of each: when do the reports say that it was captured?
    const firstVideo = viewer.peer.rtp.find(({ ssrc }) => ssrc === 0x5000)?.timestamp ?? 0;
    const firstAudio = viewer.peer.rtp.find(({ ssrc }) => ssrc === 0x6000)?.timestamp ?? 0;
    const videoOut = firstVideo + (captured[30]?.video ?? 0) - 5_000_000;
    const audioOut = firstAudio + (captured[30]?.audio ?? 0) - 70_000;
    const videoMs = (lastVideo?.ntpMs ?? 0) + ((videoOut - (lastVideo?.rtpTimestamp ?? 0)) | 0) / 90;
    const audioMs = (lastAudio?.ntpMs ?? 0) + ((audioOut - (lastAudio?.rtpTimestamp ?? 0)) | 0) / 48;
    expect(audioMs - videoMs).toBeGreaterThan(39);
    expect(audioMs - videoMs).toBeLessThan(41);
    // And it is our own clock that they tell.
    expect(Math.abs(audioMs - NTP_UNIX_MS - EPOCH_MS - (captured[30]?.nowMs ?? 0))).toBeLessThan(50);
  });

  it('round trip, loss and jitter come from its receiver reports', () => {
    const world = new World();
    const publisher = world.publisher([videoIngress()]);
    const source = publisher.source(VIDEO);
    const viewer = world.viewer([videoEgress()]);
    viewer.media.attach('v', publisher.track('1'), world.nowMs);
    for (let i = 0; i < 40; i++) world.frame(publisher, source, i === 0);
    const report = viewer.peer.reports.at(-1);
    expect(report).toBeDefined();
    const sentAtMs = (report?.ntpMs ?? 0) - NTP_UNIX_MS - EPOCH_MS;
    const lastSr = Math.round(((report?.ntpMs ?? 0) / 1000) * 65536) % 2 ** 32;
    // The report above is rounded to whole milliseconds by the arithmetic of this test: find the true middle bits.
    const sixteenth = Math.floor(lastSr);
    const delayMs = 30;
    for (let candidate = sixteenth - 80; candidate <= sixteenth + 80; candidate++) {
      viewer.media.receive(
        viewer.peer.rtcp((rtcp) =>
          rtcp.receiverReport(1, [
            {
              ssrc: 0x5000,
              fractionLost: 0.25,
              cumulativeLost: 9,
              highestSequence: 1,
              jitter: 900,
              lastSr: candidate >>> 0,
              delaySinceLastSr: Math.round(delayMs * 65.536),
            },
          ]),
        ),
        sentAtMs + delayMs + 45,
      );
    }
    const [stats] = viewer.media.stats(world.nowMs);
    expect(stats).toMatchObject({ fractionLost: 0.25, jitterMs: 10 });
    expect(stats?.roundTripMs).toBeCloseTo(45, 0);
    expect(viewer.authenticated).toBe(161);
  });
});
