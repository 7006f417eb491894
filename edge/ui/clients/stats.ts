/** Turns two `getStats()` reports into what people want to read: rates over the time between them. */

/** One entry of an `RTCStatsReport`, read field by field: browsers differ in what they fill in. */
export type StatsEntry = { readonly id: string; readonly type: string } & Readonly<Record<string, unknown>>;

export interface SendSummary {
  /** e.g. `H264`; null until known. */
  videoCodec: string | null;
  audioCodec: string | null;
  /** Of the largest encoding that is being sent. */
  width: number | null;
  height: number | null;
  framesPerSecond: number | null;
  /** All encodings and audio together, without retransmission overhead of lower layers. */
  bitrateBps: number | null;
  roundTripMs: number | null;
  /** Share of packets lost since the last report, 0 to 1, as the server reports it. */
  lossRatio: number | null;
  /** `none`, `cpu`, `bandwidth` or `other`: why the picture is smaller or slower than asked for. */
  limitation: string | null;
  /** Encodings with frames in the last interval. */
  activeLayers: number;
}

export interface ReceiveSummary {
  videoCodec: string | null;
  audioCodec: string | null;
  width: number | null;
  height: number | null;
  framesPerSecond: number | null;
  bitrateBps: number | null;
  roundTripMs: number | null;
  jitterMs: number | null;
  /** Mean time in the video jitter buffer over the interval. */
  jitterBufferMs: number | null;
  /** Mean decoding time per frame over the interval. */
  decodeMs: number | null;
  lossRatio: number | null;
  /** Totals of the session. */
  nacks: number;
  keyframeRequests: number;
  freezes: number;
  framesDecoded: number;
}

export interface StatsMeter<Summary> {
  /** Feeds the next report; rates are null in the first one. */
  update(report: Iterable<StatsEntry>): Summary;
}

export function createSendMeter(): StatsMeter<SendSummary> {
  let before: Snapshot | null = null;
  return {
    update(report) {
      const now = takeSnapshot(report);
      const summary = summarizeSend(before, now);
      before = now;
      return summary;
    },
  };
}

export function createReceiveMeter(): StatsMeter<ReceiveSummary> {
  let before: Snapshot | null = null;
  return {
    update(report) {
      const now = takeSnapshot(report);
      const summary = summarizeReceive(before, now);
      before = now;
      return summary;
    },
  };
}

type Snapshot = ReadonlyMap<string, StatsEntry>;

function takeSnapshot(report: Iterable<StatsEntry>): Snapshot {
  return new Map([...report].map((entry) => [entry.id, entry]));
}

function summarizeSend(before: Snapshot | null, now: Snapshot): SendSummary {
  const sent = ofType(now, 'outbound-rtp');
  const videos = sent.filter((entry) => entry.kind === 'video');
  const active = videos.filter((entry) => (delta(before, entry, 'framesEncoded') ?? 1) > 0 && num(entry, 'frameWidth'));
  const largest = maxBy(active, (entry) => num(entry, 'frameWidth') ?? 0);
  const remote = ofType(now, 'remote-inbound-rtp');
  const remoteRtt = maxBy(remote, (entry) => num(entry, 'roundTripTime') ?? 0);
  return {
    videoCodec: codecName(now, largest ?? videos[0]),
    audioCodec: codecName(
      now,
      sent.find((entry) => entry.kind === 'audio'),
    ),
    width: num(largest, 'frameWidth'),
    height: num(largest, 'frameHeight'),
    framesPerSecond: num(largest, 'framesPerSecond') ?? rate(before, largest, 'framesEncoded'),
    bitrateBps: sum(sent.map((entry) => bitrate(before, entry, 'bytesSent'))),
    roundTripMs: toMs(num(selectedPair(now), 'currentRoundTripTime') ?? num(remoteRtt, 'roundTripTime')),
    lossRatio: sentLoss(before, sent, remote),
    limitation: typeof largest?.qualityLimitationReason === 'string' ? largest.qualityLimitationReason : null,
    activeLayers: active.length,
  };
}

function summarizeReceive(before: Snapshot | null, now: Snapshot): ReceiveSummary {
  const received = ofType(now, 'inbound-rtp');
  const video = received.find((entry) => entry.kind === 'video');
  const audio = received.find((entry) => entry.kind === 'audio');
  const lost = sum(received.map((entry) => delta(before, entry, 'packetsLost')));
  const arrived = sum(received.map((entry) => delta(before, entry, 'packetsReceived')));
  return {
    videoCodec: codecName(now, video),
    audioCodec: codecName(now, audio),
    width: num(video, 'frameWidth'),
    height: num(video, 'frameHeight'),
    framesPerSecond: num(video, 'framesPerSecond') ?? rate(before, video, 'framesDecoded'),
    bitrateBps: sum(received.map((entry) => bitrate(before, entry, 'bytesReceived'))),
    roundTripMs: toMs(num(selectedPair(now), 'currentRoundTripTime')),
    jitterMs: toMs(num(video, 'jitter') ?? num(audio, 'jitter')),
    jitterBufferMs: toMs(mean(before, video ?? audio, 'jitterBufferDelay', 'jitterBufferEmittedCount')),
    decodeMs: toMs(mean(before, video, 'totalDecodeTime', 'framesDecoded')),
    lossRatio: ratio(lost, arrived === null || lost === null ? null : arrived + lost),
    nacks: sum(received.map((entry) => num(entry, 'nackCount'))) ?? 0,
    keyframeRequests: (num(video, 'pliCount') ?? 0) + (num(video, 'firCount') ?? 0),
    freezes: num(video, 'freezeCount') ?? 0,
    framesDecoded: num(video, 'framesDecoded') ?? 0,
  };
}

function ofType(snapshot: Snapshot, type: string): StatsEntry[] {
  return [...snapshot.values()].filter((entry) => entry.type === type);
}

function num(entry: StatsEntry | undefined | null, field: string): number | null {
  const value = entry?.[field];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}

/** Change since the last report; null for an entry that was not in it. */
function delta(before: Snapshot | null, entry: StatsEntry | undefined, field: string): number | null {
  const value = num(entry, field);
  const old = num(entry === undefined ? undefined : before?.get(entry.id), field);
  return value === null || old === null ? null : value - old;
}

/** Change per second; counters that went back (a new stream under an old id) give null. */
function rate(before: Snapshot | null, entry: StatsEntry | undefined, field: string): number | null {
  const change = delta(before, entry, field);
  const elapsedMs = delta(before, entry, 'timestamp');
  return change === null || change < 0 || elapsedMs === null || elapsedMs <= 0 ? null : (change * 1000) / elapsedMs;
}

function bitrate(before: Snapshot | null, entry: StatsEntry, field: string): number | null {
  const bytesPerSecond = rate(before, entry, field);
  return bytesPerSecond === null ? null : bytesPerSecond * 8;
}

/** Mean of a total over the count of the same interval. */
function mean(before: Snapshot | null, entry: StatsEntry | undefined, total: string, count: string): number | null {
  return ratio(delta(before, entry, total), delta(before, entry, count));
}

/** A share of nothing is unknown; duplicates can make losses negative, which is none. */
function ratio(part: number | null, whole: number | null): number | null {
  return part === null || whole === null || whole <= 0 ? null : Math.max(0, part / whole);
}

function sentLoss(before: Snapshot | null, sent: StatsEntry[], remote: StatsEntry[]): number | null {
  const lost = sum(remote.map((entry) => delta(before, entry, 'packetsLost')));
  return ratio(lost, sum(sent.map((entry) => delta(before, entry, 'packetsSent'))));
}

/** The pair that carries media: Chromium names it on the transport, Firefox marks it `selected`. */
function selectedPair(snapshot: Snapshot): StatsEntry | undefined {
  const id = ofType(snapshot, 'transport').find((entry) => typeof entry.selectedCandidatePairId === 'string');
  const named = id === undefined ? undefined : snapshot.get(String(id.selectedCandidatePairId));
  return named ?? ofType(snapshot, 'candidate-pair').find((entry) => entry.selected === true || entry.nominated);
}

function codecName(snapshot: Snapshot, entry: StatsEntry | undefined): string | null {
  const codec = entry === undefined ? undefined : snapshot.get(String(entry.codecId));
  const mimeType = codec?.mimeType;
  return typeof mimeType === 'string' ? (mimeType.split('/')[1] ?? null) : null;
}

/** Sum of the known values; null when none is known. */
function sum(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : known.reduce((total, value) => total + value, 0);
}

function maxBy(entries: readonly StatsEntry[], score: (entry: StatsEntry) => number): StatsEntry | undefined {
  return entries.reduce<StatsEntry | undefined>(
    (best, entry) => (best === undefined || score(entry) > score(best) ? entry : best),
    undefined,
  );
}

function toMs(seconds: number | null): number | null {
  return seconds === null ? null : seconds * 1000;
}
