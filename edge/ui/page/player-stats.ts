/** The measurements over the picture, and the delay from the server to the screen. */
import { createReceiveMeter, type ReceiveSummary, type StatsEntry, type StatsMeter } from '../clients/stats.ts';
import { find } from './dom.ts';
import { formatBitrate, formatCodecs, formatCount, formatMs, formatShare, formatSize } from './format.ts';
import { buildMeterView } from './meter-view.ts';

const STATS_INTERVAL_MS = 1_000;

export interface PlayerSummary extends ReceiveSummary {
  /**
   * Half a round trip, plus the time from the last packet of a frame to its appearance: what the way from the server to
   * this screen costs. What the publisher's side costs cannot be known here.
   */
  delayMs: number | null;
}

export class PlayerStats {
  summary: PlayerSummary | null = null;
  readonly #panel = find('stats', HTMLDListElement);
  readonly #video: HTMLVideoElement;
  readonly #show: (summary: PlayerSummary | null) => void;
  #meter: StatsMeter<ReceiveSummary> = createReceiveMeter();
  #connection: RTCPeerConnection | null = null;
  /** Receive-to-screen times of the frames since the last refresh. */
  #frames = { totalMs: 0, count: 0 };

  constructor(video: HTMLVideoElement) {
    this.#video = video;
    this.#show = buildMeterView<PlayerSummary>(this.#panel, [
      {
        key: 'latency',
        label: 'Delay from server',
        title: 'Half a round trip plus buffering, decoding and display',
        format: (s) => formatMs(s.delayMs),
      },
      { key: 'bitrate', label: 'Bitrate', format: (s) => formatBitrate(s.bitrateBps) },
      { key: 'resolution', label: 'Picture', format: (s) => formatSize(s.width, s.height) },
      { key: 'fps', label: 'Frames/s', format: (s) => formatCount(s.framesPerSecond) },
      { key: 'codec', label: 'Codec', format: (s) => formatCodecs(s.videoCodec, s.audioCodec) },
      { key: 'rtt', label: 'Round trip', format: (s) => formatMs(s.roundTripMs) },
      { key: 'jitter', label: 'Jitter', format: (s) => formatMs(s.jitterMs) },
      { key: 'buffer', label: 'Jitter buffer', format: (s) => formatMs(s.jitterBufferMs) },
      { key: 'decode', label: 'Decoding', format: (s) => formatMs(s.decodeMs) },
      { key: 'loss', label: 'Loss', format: (s) => formatShare(s.lossRatio) },
      { key: 'nacks', label: 'NACKs', format: (s) => formatCount(s.nacks) },
      { key: 'freezes', label: 'Freezes', format: (s) => formatCount(s.freezes) },
    ]);
  }

  /** Shows or hides the panel; true when it is shown now. */
  toggle(): boolean {
    this.#panel.hidden = !this.#panel.hidden;
    return !this.#panel.hidden;
  }

  /** Measures the connection that the function names, once a second. */
  follow(current: () => RTCPeerConnection | null): void {
    setInterval(() => void this.#refresh(current()), STATS_INTERVAL_MS);
    this.#watchFrames();
  }

  async #refresh(connection: RTCPeerConnection | null): Promise<void> {
    if (connection !== this.#connection) {
      this.#connection = connection;
      this.#meter = createReceiveMeter();
    }
    if (connection === null) {
      this.summary = null;
      this.#show(null);
      return;
    }
    const report = await connection.getStats();
    if (connection !== this.#connection) return;
    const summary = this.#meter.update(report.values() as Iterable<StatsEntry>);
    this.summary = { ...summary, delayMs: this.#delayMs(summary) };
    if (!this.#panel.hidden) this.#show(this.summary);
  }

  #delayMs(summary: ReceiveSummary): number | null {
    const { totalMs, count } = this.#frames;
    this.#frames = { totalMs: 0, count: 0 };
    // Browsers without frame callbacks: the parts they do report.
    const buffered = summary.jitterBufferMs === null ? null : summary.jitterBufferMs + (summary.decodeMs ?? 0);
    const processingMs = count > 0 ? totalMs / count : buffered;
    return processingMs === null ? null : (summary.roundTripMs ?? 0) / 2 + processingMs;
  }

  #watchFrames(): void {
    if (!('requestVideoFrameCallback' in this.#video)) return;
    const onFrame = (_now: number, frame: VideoFrameCallbackMetadata) => {
      if (frame.receiveTime !== undefined) {
        this.#frames.totalMs += Math.max(0, frame.expectedDisplayTime - frame.receiveTime);
        this.#frames.count++;
      }
      this.#video.requestVideoFrameCallback(onFrame);
    };
    this.#video.requestVideoFrameCallback(onFrame);
  }
}
