/** What the viewers together have seen between two moments, as numbers and as text. */
import { quantile } from '../bench/statistics.ts';
import type { Mark, ServerCost } from './mark.ts';
import { serverCost } from './mark.ts';
import { packetsOf, type Snapshot } from './snapshot.ts';

const MS_PER_S = 1_000;
const BITS_PER_BYTE = 8;
const PERCENT = 100;
/** Of a core: above this the generator itself may be what loses. */
const BUSY_CORES = 0.9;
/** Who gets less than this share of what was sent is starved: gaps alone hide a server that leaves packets out. */
const STARVED_BELOW = 0.99;
const US_PER_S = 1e6;

interface Quantiles {
  p50: number;
  p95: number;
  p99: number;
}

export interface PlaySummary {
  command: 'play';
  url: string;
  viewers: number;
  connected: number;
  /** Got at least a packet. */
  withMedia: number;
  failed: number;
  notTried: number;
  /** By the server, before the end. */
  ended: number;
  /** Between the two moments; all rates are of this time. */
  seconds: number;
  packetsPerSecond: number;
  packetsPerSecondPerViewer: { mean: number; least: number; most: number };
  /** Packets/s that each should get, and how many got less than 99 % of it. */
  sourcePacketsPerSecond: number;
  starved: number;
  /** SRTP, without headers of UDP and IP. */
  bytesPerSecond: number;
  /** From each viewer's first packet on: `missing / expected`. */
  loss: number;
  expected: number;
  missing: number;
  gaps: number;
  duplicates: number;
  /** Dropped at our own sockets, because they were full. */
  overflowed: number;
  /** RTCP packets per second that the viewers sent, and that the server sent. */
  feedbackPerSecond: number;
  rtcpPerSecond: number;
  /** From before the POST to media keys. */
  joinMs: Quantiles;
  /** From before the POST to the first packet. */
  firstPacketMs: Quantiles;
  generatorCores: number;
  /** What a packet costs this tool; the part that only reads and counts, where that is done apart. */
  generatorUsPerPacket: number;
  receiverUsPerPacket: number | null;
  server: ServerCost | null;
  failures: Record<string, number>;
}

export function lossOf({ missing, expected }: Pick<Snapshot, 'missing' | 'expected'>): number {
  return expected === 0 ? 0 : missing / expected;
}

export function summarizePlay(
  request: { url: string; viewers: number; sourcePps: number | undefined },
  pids: readonly number[],
  from: Mark<Snapshot>,
  to: Mark<Snapshot>,
): PlaySummary {
  const { counts } = to;
  const seconds = (to.atMs - from.atMs) / MS_PER_S;
  const packets = packetsOf(counts) - packetsOf(from.counts);
  const ofViewers = counts.packetsOfViewers.map(
    (count, index) => (count - (from.counts.packetsOfViewers[index] ?? 0)) / seconds,
  );
  const least = ofViewers.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const most = ofViewers.reduce((a, b) => Math.max(a, b), 0);
  // What the server numbered for its viewers; what it never numbered, only its publisher can tell (--source-pps).
  const numbered = counts.expectedOfViewers.map(
    (count, index) => (count - (from.counts.expectedOfViewers[index] ?? 0)) / seconds,
  );
  const sourcePps = request.sourcePps ?? numbered.reduce((a, b) => Math.max(a, b), most);
  const generatorS = counts.generatorCpuS - from.counts.generatorCpuS;
  const receiverS = counts.receiverCpuS - from.counts.receiverCpuS;
  return {
    command: 'play',
    url: request.url,
    viewers: request.viewers,
    connected: counts.connected,
    withMedia: counts.firstPacketMs.length,
    failed: counts.failed,
    notTried: request.viewers - counts.started,
    ended: counts.ended,
    seconds,
    packetsPerSecond: packets / seconds,
    packetsPerSecondPerViewer: {
      mean: counts.connected === 0 ? 0 : packets / seconds / counts.connected,
      least: ofViewers.length === 0 ? 0 : least,
      most,
    },
    sourcePacketsPerSecond: sourcePps,
    starved: ofViewers.filter((rate) => rate < sourcePps * STARVED_BELOW).length,
    bytesPerSecond: (counts.bytes - from.counts.bytes) / seconds,
    loss: lossOf(counts),
    expected: counts.expected,
    missing: counts.missing,
    gaps: counts.gaps,
    duplicates: counts.duplicates,
    overflowed: counts.overflowed,
    feedbackPerSecond: (counts.feedback - from.counts.feedback) / seconds,
    rtcpPerSecond: (counts.rtcp - from.counts.rtcp) / seconds,
    joinMs: quantiles(counts.joinMs),
    firstPacketMs: quantiles(counts.firstPacketMs),
    generatorCores: generatorS / seconds,
    generatorUsPerPacket: packets === 0 ? 0 : (generatorS * US_PER_S) / packets,
    receiverUsPerPacket: counts.native && packets > 0 ? (receiverS * US_PER_S) / packets : null,
    server: serverCost(pids, from, to, packets),
    failures: counts.failures,
  };
}

/** @param processes that made the load */
export function printPlay(summary: PlaySummary, processes: number): string {
  const { connected, viewers, packetsPerSecondPerViewer: each, joinMs, firstPacketMs, server } = summary;
  const failures = Object.entries(summary.failures).map(([message, count]) => `failed       ${count} × ${message}`);
  const lines = [
    `viewers      ${connected} of ${viewers} connected, ${summary.withMedia} with media, ${summary.failed} failed` +
      `${summary.notTried > 0 ? `, ${summary.notTried} not tried` : ''}` +
      `${summary.ended > 0 ? `, ${summary.ended} ended by the server` : ''}`,
  ];
  if (connected === 0) return [...lines, ...failures].join('\n');
  lines.push(
    `packets/s    ${summary.packetsPerSecond.toFixed(0)} in ${summary.seconds.toFixed(1)} s; ` +
      `each ${each.mean.toFixed(1)} (${each.least.toFixed(1)} to ${each.most.toFixed(1)})`,
    `starved      ${summary.starved} got less than 99 % of ${summary.sourcePacketsPerSecond.toFixed(1)} packets/s`,
    `bytes/s      ${summary.bytesPerSecond.toFixed(0)} (${((summary.bytesPerSecond * BITS_PER_BYTE) / 1e6).toFixed(2)} Mb/s)`,
    `loss         ${(summary.loss * PERCENT).toFixed(4)} %: ${summary.missing} of ${summary.expected}, ` +
      `${summary.gaps} gaps, ${summary.duplicates} duplicates` +
      `${summary.overflowed > 0 ? `; ${summary.overflowed} dropped at full sockets of this tool` : ''}`,
    `RTCP/s       ${summary.feedbackPerSecond.toFixed(0)} sent, ${summary.rtcpPerSecond.toFixed(0)} received`,
    `join ms      ${printQuantiles(joinMs)} (POST to media keys)`,
    `packet ms    ${printQuantiles(firstPacketMs)} (POST to first packet)`,
    `generator    ${summary.generatorCores.toFixed(2)} cores, ${summary.generatorUsPerPacket.toFixed(2)} µs per packet (` +
      `${summary.receiverUsPerPacket === null ? 'counted in JavaScript' : `reading ${summary.receiverUsPerPacket.toFixed(2)}`})` +
      `${summary.generatorCores > BUSY_CORES * processes ? ': too busy to be trusted; use more --processes' : ''}`,
    ...(server === null
      ? []
      : [`server       ${server.cores.toFixed(2)} cores, ${server.usPerPacket.toFixed(2)} µs per packet`]),
    ...failures,
  );
  return lines.join('\n');
}

function quantiles(values: readonly number[]): Quantiles {
  return { p50: quantile(values, 0.5), p95: quantile(values, 0.95), p99: quantile(values, 0.99) };
}

function printQuantiles({ p50, p95, p99 }: Quantiles): string {
  return Number.isNaN(p50) ? 'none' : `p50 ${p50.toFixed(1)}, p95 ${p95.toFixed(1)}, p99 ${p99.toFixed(1)}`;
}
