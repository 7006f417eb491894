/** `publish`: one synthetic publisher with a given rate. */
import { AUDIO, OPUS_FRAMES_PER_SECOND, VIDEO, type VideoPattern } from '../support/client/pattern.ts';
import { Publisher } from '../support/client/publisher.ts';
import { openMediaFile } from '../support/media/open-media.ts';
import type { PublishRequest } from './arguments.ts';
import { explainFailure } from './failure.ts';
import { localAddressTowards } from './local-address.ts';
import { mark, type ServerCost, serverCost } from './mark.ts';
import { openProgress } from './progress.ts';
import { serverProcesses } from './server-process.ts';
import { tolerantSignalling } from './tolerant-signalling.ts';

const MS_PER_S = 1_000;
const US_PER_S = 1e6;
const PERCENT = 100;
/** The fraction in a report block is told in these (RFC 3550 §6.4.1). */
const LOSS_UNITS = 256;
const BITS_PER_BYTE = 8;
const PROGRESS_INTERVAL_MS = 1_000;
/** From here on a keyframe of the bigger picture is no burst beside the rest. */
const BIG_PICTURE_BPS = 2_000_000;
const BIG_PICTURE = { width: 128, height: 64 } as const;

export interface PublishSummary {
  command: 'publish';
  url: string;
  /** 1, or 0 when there was no session. */
  connected: number;
  /** The server ended it. */
  ended: boolean;
  seconds: number;
  packets: number;
  packetsPerSecond: number;
  /** Of RTP payload. */
  bytesPerSecond: number;
  keyframes: number;
  /** Requests for a keyframe: PLI and FIR. */
  keyframeRequests: number;
  /** Packets that were asked for again, and how many were sent again. */
  nacks: number;
  retransmitted: number;
  /** As the server told last, from 0 to 1. */
  reportedLoss: number;
  generatorCores: number;
  server: ServerCost | null;
  failures: Record<string, number>;
}

export function videoPattern(request: PublishRequest): VideoPattern {
  const { codec, framesPerSecond, bitrateBps, keyframeEveryMs, audio } = request;
  const packetsPerSecond = request.packetsPerSecond - (audio ? OPUS_FRAMES_PER_SECOND : 0);
  const size = bitrateBps >= BIG_PICTURE_BPS ? BIG_PICTURE : {};
  return { ...VIDEO, ...size, codec, framesPerSecond, bitrateBps, keyframeEveryMs, packetsPerSecond };
}

/** @param stop ends it */
export async function runPublish(request: PublishRequest, stop: AbortSignal): Promise<PublishSummary> {
  const { url, token, seconds, audio, answersPli, answersNack } = request;
  const address = request.bind ?? (await localAddressTowards(url));
  const signalling = tolerantSignalling(url, token);
  const media = request.file === undefined ? null : await openMediaFile(request.file, request.framesPerSecond);
  const publisher = new Publisher({
    ...(media === null ? {} : { media }),
    signalling,
    address,
    video: videoPattern(request),
    audio: audio ? AUDIO : null,
    answersPli,
    answersNack,
  });
  const failures: Record<string, number> = {};
  let connected = 0;
  let pids = serverProcesses(request.pid, []);
  let from = mark(null, pids);
  let cpu = process.cpuUsage();
  try {
    await publisher.start();
    connected = 1;
    pids = serverProcesses(request.pid, [publisher.session.answer.candidate.port]);
    from = mark(null, pids);
    cpu = process.cpuUsage();
    await last(publisher, seconds, stop);
  } catch (error) {
    failures[explainFailure(error, url).message] = 1;
    await Promise.allSettled([signalling.close()]);
  }
  const to = mark(null, pids);
  const used = process.cpuUsage(cpu);
  const ended = connected === 1 && publisher.session.transport.endReason !== null;
  await publisher.close();
  const elapsedS = (to.atMs - from.atMs) / MS_PER_S;
  const counts = countsOf(publisher);
  return {
    command: 'publish',
    url,
    connected,
    ended,
    seconds: elapsedS,
    ...counts,
    packetsPerSecond: counts.packets / elapsedS,
    bytesPerSecond: bytesOf(publisher) / elapsedS,
    generatorCores: (used.user + used.system) / US_PER_S / elapsedS,
    server: serverCost(pids, from, to, counts.packets),
    failures,
  };
}

export function printPublish(summary: PublishSummary): string {
  const { server } = summary;
  const failed = Object.keys(summary.failures).map((message) => `failed       ${message}`);
  if (summary.connected === 0) return failed.join('\n');
  return [
    `published    ${summary.seconds.toFixed(1)} s${summary.ended ? ', then the server ended it' : ''}`,
    `packets/s    ${summary.packetsPerSecond.toFixed(1)} (${summary.packets} packets)`,
    `bytes/s      ${summary.bytesPerSecond.toFixed(0)} (${((summary.bytesPerSecond * BITS_PER_BYTE) / 1e6).toFixed(2)} Mb/s)`,
    `keyframes    ${summary.keyframes}, asked for ${summary.keyframeRequests} times`,
    `loss         ${summary.nacks} packets asked for again, ${summary.retransmitted} sent again; the server tells ${(summary.reportedLoss * PERCENT).toFixed(1)} %`,
    `generator    ${summary.generatorCores.toFixed(2)} cores`,
    ...(server === null
      ? []
      : [`server       ${server.cores.toFixed(2)} cores, ${server.usPerPacket.toFixed(2)} µs per packet received`]),
    ...failed,
  ].join('\n');
}

/** Until the time is up, or either side ends it. */
async function last(publisher: Publisher, seconds: number, stop: AbortSignal): Promise<void> {
  const progress = openProgress();
  let before = publisher.packetsSent;
  const timer = setInterval(() => {
    const { packetsSent, plisReceived, nacksReceived } = publisher;
    progress.show(`publishing: ${packetsSent - before} packets/s, ${plisReceived} PLI, ${nacksReceived} NACK`);
    before = packetsSent;
  }, PROGRESS_INTERVAL_MS);
  const over = Promise.withResolvers<void>();
  const end = (): void => over.resolve();
  const limit = seconds === 0 ? null : setTimeout(end, seconds * MS_PER_S);
  stop.addEventListener('abort', end);
  if (stop.aborted) end();
  await Promise.race([over.promise, publisher.session.transport.ended]);
  stop.removeEventListener('abort', end);
  if (limit !== null) clearTimeout(limit);
  clearInterval(timer);
  progress.clear();
}

function countsOf(publisher: Publisher) {
  const video = publisher.tracks.find(({ kind }) => kind === 'video');
  return {
    packets: publisher.packetsSent,
    keyframes: video?.keyframes ?? 0,
    keyframeRequests: publisher.plisReceived + publisher.firsReceived,
    nacks: publisher.nacksReceived,
    retransmitted: publisher.retransmitted,
    reportedLoss: publisher.lastFractionLost / LOSS_UNITS,
  };
}

function bytesOf(publisher: Publisher): number {
  return publisher.tracks.flatMap(({ layers }) => layers).reduce((sum, { stream }) => sum + stream.bytes, 0);
}
