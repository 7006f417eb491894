/** The whole way with loss and reordering on every link: what must come out is a complete, continuous picture. */
import { describe, expect, it } from 'vitest';
import type { SrtpProfile } from '../transport/types.ts';
import { isRtcp } from './rtcp-mux.ts';
import { seededRandom } from './testing/keys.ts';
import { viewedFrames } from './testing/picture-check.ts';
import { videoEgress, videoIngress } from './testing/plans.ts';
import { readContent } from './testing/rtp-source.ts';
import { type TestViewer, World } from './testing/world.ts';

const LOSS = 0.05;
const REORDERED = 0.1;
const REORDERED_MS = 10;
const DELAY_MS = 10;
const STEP_MS = 5;

/** A one-way path: loses RTP and lets every tenth packet be overtaken. The first packet gets through: nobody can ask for
 * what came before the first that arrived. */
class LossyLink {
  readonly #queue: { atMs: number; datagram: Buffer }[] = [];
  readonly #random: () => number;
  readonly #deliver: (datagram: Buffer) => void;
  loss = LOSS;
  #isFirst = true;

  constructor(random: () => number, deliver: (datagram: Buffer) => void) {
    this.#random = random;
    this.#deliver = deliver;
  }

  send(datagram: Buffer, nowMs: number): void {
    const isFirst = this.#isFirst;
    this.#isFirst &&= isRtcp(datagram);
    if (!isFirst && !isRtcp(datagram) && this.#random() < this.loss) return;
    const extraMs = !isFirst && this.#random() < REORDERED ? REORDERED_MS : 0;
    this.#queue.push({ atMs: nowMs + DELAY_MS + extraMs, datagram });
  }

  run(nowMs: number): void {
    const due = this.#queue.filter(({ atMs }) => atMs <= nowMs).sort((a, b) => a.atMs - b.atMs);
    for (const item of due) this.#queue.splice(this.#queue.indexOf(item), 1);
    for (const { datagram } of due) this.#deliver(datagram);
  }
}

/** Asks again for what is missing, as a player does. */
class Asker {
  readonly #viewer: TestViewer;
  readonly #ssrc: number;
  readonly #rtxSsrc: number | null;
  readonly #have = new Set<number>();
  #read = 0;
  #first = Number.NaN;
  #highest = 0;

  constructor(viewer: TestViewer, ssrc: number, rtxSsrc: number | null) {
    this.#viewer = viewer;
    this.#ssrc = ssrc;
    this.#rtxSsrc = rtxSsrc;
  }

  run(nowMs: number): void {
    const { rtp } = this.#viewer.peer;
    for (; this.#read < rtp.length; this.#read++) {
      const packet = rtp[this.#read];
      if (packet?.ssrc === this.#ssrc) this.#note(packet.sequence);
      else if (packet?.ssrc === this.#rtxSsrc) this.#have.add(packet.payload.readUInt16BE(0));
    }
    const missing: number[] = [];
    for (let sequence = this.#first; sequence < this.#highest; sequence++) {
      if (!this.#have.has(sequence & 0xffff)) missing.push(sequence & 0xffff);
    }
    if (missing.length === 0) return;
    const nack = this.#viewer.peer.rtcp((rtcp) => rtcp.nack(1, this.#ssrc, missing, missing.length));
    this.#viewer.media.receive(nack, nowMs);
  }

  #note(sequence: number): void {
    this.#have.add(sequence & 0xffff);
    if (Number.isNaN(this.#first)) this.#first = sequence;
    this.#highest = Math.max(this.#highest, sequence);
  }
}

describe.each<[SrtpProfile, number]>([
  ['AEAD_AES_128_GCM', 1],
  ['AES_CM_128_HMAC_SHA1_80', 2],
  ['AEAD_AES_128_GCM', 3],
])('%s, seed %i', (profile, seed) => {
  it('two viewers, one with RTX and one without, and one that comes later, see every frame', () => {
    const random = seededRandom(seed);
    const world = new World();
    const publisher = world.publisher([videoIngress()], profile);
    const source = publisher.source({
      ssrc: 0x1000,
      payloadType: 96,
      firstSequence: 65_300,
      firstTimestamp: 2 ** 32 - 90_000,
      rtx: { ssrc: 0x1001, payloadType: 97 },
    });
    const uplink = new LossyLink(random, (datagram) => publisher.media.receive(datagram, world.nowMs));
    const links: LossyLink[] = [uplink];
    const askers: Asker[] = [];
    const open = (rtx: boolean, payloadType: number, theirProfile: SrtpProfile) => {
      const rtxSsrc = rtx ? 0x5001 : null;
      const viewer = world.viewer(
        [videoEgress({ rtxSsrc, rtxPayloadType: rtx ? 101 : null, payloadType })],
        theirProfile,
      );
      const link = new LossyLink(random, (datagram) => viewer.peer.receive(datagram));
      viewer.link = (datagram) => link.send(datagram, world.nowMs);
      links.push(link);
      askers.push(new Asker(viewer, 0x5000, rtxSsrc));
      viewer.media.attach('v', publisher.track('1'), world.nowMs);
      return viewer;
    };
    const withRtx = open(true, 100, profile);
    const without = open(false, 107, 'AES_CM_128_HMAC_SHA1_80');
    let late: TestViewer | null = null;
    let answered = 0;
    for (let step = 0; step < 1200; step++) {
      if (step === 500) late = open(true, 120, profile);
      if (step < 1000 && step % 7 === 0) {
        for (const { datagram } of source.frame(step % 700 === 0, 5)) uplink.send(datagram, world.nowMs);
        source.timestamp += 3150;
      }
      if (step > 1000) for (const link of links) link.loss = 0;
      for (; answered < publisher.peer.nacks.length; answered++) {
        const sequence = publisher.peer.nacks[answered]?.sequence ?? 0;
        const isLast = (payload: Buffer) => {
          const content = readContent(payload);
          return content !== null && content.index === content.count - 1;
        };
        const repaired = source.retransmit(sequence, isLast);
        if (repaired !== null) uplink.send(repaired, world.nowMs);
      }
      world.nowMs += STEP_MS;
      for (const link of links) link.run(world.nowMs);
      if (step % 2 === 0) world.forwarder.tick(world.nowMs);
      if (step % 6 === 0) for (const asker of askers) asker.run(world.nowMs);
    }
    expect(viewedFrames(withRtx.peer, 0x5000, 0x5001).map(({ frame }) => frame)).toEqual(
      Array.from({ length: 143 }, (_, i) => i),
    );
    expect(viewedFrames(without.peer, 0x5000).length).toBe(143);
    const lateFrames = late === null ? [] : viewedFrames(late.peer, 0x5000, 0x5001).map(({ frame }) => frame);
    // It came in the middle of the GOP that began with frame 0 and is recovered as well.
    expect(lateFrames).toEqual(Array.from({ length: lateFrames.length }, (_, i) => i + 143 - lateFrames.length));
    expect(lateFrames.length).toBe(143);
    expect(publisher.media.stats(world.nowMs)[0]?.layers[0]?.recovered).toBeGreaterThan(10);
    expect(without.media.stats(world.nowMs)[0]?.retransmitted).toBeGreaterThan(10);
  });
});

it('what the publisher repeats late reaches a viewer in its place, however fast the stream is', () => {
  const world = new World();
  const publisher = world.publisher([videoIngress()]);
  const source = publisher.source({
    ssrc: 0x1000,
    payloadType: 96,
    firstSequence: 65_300,
    rtx: { ssrc: 0x1001, payloadType: 97 },
  });
  const viewer = world.viewer([videoEgress({ rtxSsrc: 0x5001, rtxPayloadType: 101 })]);
  viewer.media.attach('v', publisher.track('1'), world.nowMs);
  world.frame(publisher, source, true);
  source.frame(false, 1); // is lost
  // 10 Mb/s for 600 ms.
  for (let frame = 0; frame < 18; frame++) world.frame(publisher, source, false, 36);

  const repeated = source.retransmit(65_303, () => true);
  if (repeated !== null) publisher.media.receive(repeated, world.nowMs);

  expect(viewer.peer.refused).toBe(0);
  const frames = viewer.peer.rtp.flatMap(({ ssrc, payload }) => (ssrc === 0x5000 ? [readContent(payload)?.frame] : []));
  expect(frames.at(-1)).toBe(1);
});
