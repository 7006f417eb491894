/** What a decoder needs of a viewer's stream, checked on everything that arrived. */
import { expect } from 'vitest';
import { type FrameContent, readContent } from './rtp-source.ts';
import type { ReceivedRtp, TestPeer } from './test-peer.ts';

export interface ViewedFrame extends FrameContent {
  timestamp: number;
}

/**
 * The frames that a viewer can decode, from its packets on `ssrc` and (RTX) `rtxSsrc`. Expects that numbers are without
 * gaps, that a packet that came twice came with the same content, that each frame is whole and of one timestamp,
 * that timestamps grow, and that frames follow each other or start anew with a keyframe.
 */
export function viewedFrames(peer: TestPeer, ssrc: number, rtxSsrc: number | null = null): ViewedFrame[] {
  const packets = new Map<number, ReceivedRtp>();
  for (const packet of peer.rtp) {
    if (packet.ssrc === ssrc) note(packets, packet.sequence, packet);
  }
  for (const packet of peer.rtp) {
    if (packet.ssrc !== rtxSsrc || rtxSsrc === null) continue;
    const osn = packet.payload.readUInt16BE(0);
    const newest = Math.max(...packets.keys());
    let sequence = newest - (newest & 0xffff) + osn;
    if (sequence > newest + 0x8000) sequence -= 0x10000;
    note(packets, sequence, { ...packet, sequence, payload: packet.payload.subarray(2) });
  }
  const ordered = [...packets.values()].sort((a, b) => a.sequence - b.sequence);
  expect(ordered.map((packet) => packet.sequence)).toEqual(ordered.map((_, i) => (ordered[0]?.sequence ?? 0) + i));
  return framesOf(ordered);
}

function note(packets: Map<number, ReceivedRtp>, sequence: number, packet: ReceivedRtp): void {
  const known = packets.get(sequence);
  if (known === undefined) {
    packets.set(sequence, packet);
    return;
  }
  expect(packet.payload.equals(known.payload)).toBe(true);
  expect(packet.timestamp).toBe(known.timestamp);
}

function framesOf(ordered: ReceivedRtp[]): ViewedFrame[] {
  const frames: ViewedFrame[] = [];
  let current: ViewedFrame | null = null;
  let nextIndex = 0;
  for (const packet of ordered) {
    const content = readContent(packet.payload);
    if (content === null) continue;
    if (content.index === 0) {
      const previous: ViewedFrame | null = current;
      current = { ...content, timestamp: packet.timestamp };
      if (previous === null || previous.stream !== content.stream || previous.frame + 1 !== content.frame) {
        expect(content.keyframe, `frame ${content.frame} of ${content.stream} follows nothing`).toBe(true);
      }
      if (previous !== null) expect((current.timestamp - previous.timestamp) | 0).toBeGreaterThan(0);
      frames.push(current);
      nextIndex = 0;
    }
    expect(current).not.toBeNull();
    expect([content.stream, content.frame, content.index]).toEqual([current?.stream, current?.frame, nextIndex]);
    expect(packet.timestamp).toBe(current?.timestamp);
    expect(packet.marker).toBe(content.index === content.count - 1);
    nextIndex++;
  }
  return frames;
}
