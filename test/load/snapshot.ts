/** What viewers have seen so far; the snapshots of several processes add up. */
import { z } from 'zod';
import type { Viewer } from '../support/client/viewer.ts';

const counter = z.int().nonnegative();

export const snapshotSchema = z.object({
  /** Tried, with whatever outcome so far. */
  started: counter,
  /** Reached DTLS, whether they still are connected or not. */
  connected: counter,
  failed: counter,
  /** Were connected, and the server ended it. */
  ended: counter,
  /** By message. */
  failures: z.record(z.string(), counter),
  bytes: counter,
  /** Packets between the first and the highest number of each stream. */
  expected: counter,
  /** Of those, how many never came. */
  missing: counter,
  /** How often numbers were skipped, whether what was left out came later or not. */
  gaps: counter,
  duplicates: counter,
  /** By viewer that connected: packets so far. */
  packetsOfViewers: z.array(counter),
  /** From before the POST to media keys. */
  joinMs: z.array(z.number()),
  /** From before the POST to the first packet, of those that got one. */
  firstPacketMs: z.array(z.number()),
  /** Of the process that makes the load. */
  generatorCpuS: z.number(),
});
export type Snapshot = z.infer<typeof snapshotSchema>;

/** A viewer that connected, and when it began. */
export interface JoinedViewer {
  viewer: Viewer;
  startedMs: number;
}

type MediaCounts = Pick<
  Snapshot,
  'bytes' | 'expected' | 'missing' | 'gaps' | 'duplicates' | 'packetsOfViewers' | 'firstPacketMs'
>;

export function countMedia(joined: readonly JoinedViewer[]): MediaCounts {
  const counts: MediaCounts = {
    bytes: 0,
    expected: 0,
    missing: 0,
    gaps: 0,
    duplicates: 0,
    packetsOfViewers: [],
    firstPacketMs: [],
  };
  for (const { viewer, startedMs } of joined) {
    counts.bytes += viewer.bytes;
    counts.packetsOfViewers.push(viewer.packets);
    let firstMs = Number.POSITIVE_INFINITY;
    for (const track of viewer.tracks) {
      if (track.packets === 0) continue;
      firstMs = Math.min(firstMs, track.firstArrivalMs);
      counts.expected += track.highestSequence - track.firstSequence + 1;
      counts.missing += track.missing;
      counts.gaps += track.gaps;
      counts.duplicates += track.duplicates;
    }
    if (Number.isFinite(firstMs)) counts.firstPacketMs.push(firstMs - startedMs);
  }
  return counts;
}

export function emptySnapshot(): Snapshot {
  return {
    ...countMedia([]),
    started: 0,
    connected: 0,
    failed: 0,
    ended: 0,
    failures: {},
    joinMs: [],
    generatorCpuS: 0,
  };
}

export function addSnapshots(snapshots: readonly Snapshot[]): Snapshot {
  const sum = emptySnapshot();
  for (const one of snapshots) {
    sum.started += one.started;
    sum.connected += one.connected;
    sum.failed += one.failed;
    sum.ended += one.ended;
    sum.bytes += one.bytes;
    sum.expected += one.expected;
    sum.missing += one.missing;
    sum.gaps += one.gaps;
    sum.duplicates += one.duplicates;
    sum.generatorCpuS += one.generatorCpuS;
    sum.packetsOfViewers.push(...one.packetsOfViewers);
    sum.joinMs.push(...one.joinMs);
    sum.firstPacketMs.push(...one.firstPacketMs);
    for (const [message, count] of Object.entries(one.failures)) {
      sum.failures[message] = (sum.failures[message] ?? 0) + count;
    }
  }
  return sum;
}

export function packetsOf(snapshot: Snapshot): number {
  return snapshot.packetsOfViewers.reduce((sum, packets) => sum + packets, 0);
}
