/** What viewers have seen so far; the snapshots of several processes add up. */
import { z } from 'zod';
import type { LoadViewer } from './load-viewer.ts';

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
  /** Packets that came to a socket of ours that was full: the fault of who measures. */
  overflowed: counter,
  /** RTCP packets that the server sent. */
  rtcp: counter,
  /** RTCP packets that the viewers sent. */
  feedback: counter,
  /** By viewer that connected: packets so far. */
  packetsOfViewers: z.array(counter),
  /** The same, with those that are missing. */
  expectedOfViewers: z.array(counter),
  /** From before the POST to media keys. */
  joinMs: z.array(z.number()),
  /** From before the POST to the first packet, of those that got one. */
  firstPacketMs: z.array(z.number()),
  /** UDP ports that the server named. */
  serverPorts: z.array(counter),
  /** Of the process that makes the load. */
  generatorCpuS: z.number(),
  /** The part of it that only reads and counts packets; 0 where that is not done apart. */
  receiverCpuS: z.number(),
  /** Media is counted outside of JavaScript. */
  native: z.boolean(),
});
export type Snapshot = z.infer<typeof snapshotSchema>;

/** A viewer that connected, and when it began. */
export interface JoinedViewer {
  viewer: Pick<LoadViewer, 'counts' | 'feedbackSent'>;
  startedMs: number;
}

type MediaCounts = Pick<
  Snapshot,
  | 'bytes'
  | 'expected'
  | 'missing'
  | 'gaps'
  | 'duplicates'
  | 'overflowed'
  | 'rtcp'
  | 'feedback'
  | 'packetsOfViewers'
  | 'expectedOfViewers'
  | 'firstPacketMs'
>;
const SUMS = ['bytes', 'expected', 'missing', 'gaps', 'duplicates', 'overflowed', 'rtcp'] as const;

export function countMedia(joined: readonly JoinedViewer[]): MediaCounts {
  const counts: MediaCounts = {
    bytes: 0,
    expected: 0,
    missing: 0,
    gaps: 0,
    duplicates: 0,
    overflowed: 0,
    rtcp: 0,
    feedback: 0,
    packetsOfViewers: [],
    expectedOfViewers: [],
    firstPacketMs: [],
  };
  for (const { viewer, startedMs } of joined) {
    const own = viewer.counts;
    for (const name of SUMS) counts[name] += own[name];
    counts.feedback += viewer.feedbackSent;
    counts.packetsOfViewers.push(own.packets);
    counts.expectedOfViewers.push(own.packets + own.missing);
    if (own.firstMs !== null) counts.firstPacketMs.push(own.firstMs - startedMs);
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
    serverPorts: [],
    generatorCpuS: 0,
    receiverCpuS: 0,
    native: true,
  };
}

export function addSnapshots(snapshots: readonly Snapshot[]): Snapshot {
  const sum = emptySnapshot();
  for (const one of snapshots) {
    sum.started += one.started;
    sum.connected += one.connected;
    sum.failed += one.failed;
    sum.ended += one.ended;
    for (const name of SUMS) sum[name] += one[name];
    sum.feedback += one.feedback;
    sum.receiverCpuS += one.receiverCpuS;
    sum.native &&= one.native;
    sum.generatorCpuS += one.generatorCpuS;
    sum.packetsOfViewers.push(...one.packetsOfViewers);
    sum.expectedOfViewers.push(...one.expectedOfViewers);
    sum.serverPorts = [...new Set([...sum.serverPorts, ...one.serverPorts])];
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
