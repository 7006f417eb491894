/**
 * Notices when a connection brings nothing any more. A node that dies says no goodbye, and ICE takes 5 to 7 s to find out:
 * what comes from the server, or does not, tells sooner, and whoever is told can ask the server whether the session lives.
 */

/** Nothing came for this long. */
export const SILENCE_MS = 3_000;
const LOOK_INTERVAL_MS = 1_000;

/** The members of statistics that are counted. */
export interface CountedStats {
  type: string;
  packetsReceived?: number;
  bytesReceived?: number;
  responsesReceived?: number;
}

export interface SilenceWatchOptions {
  /** The one in use; null while there is none. */
  connection(): RTCPeerConnection | null;
  /** Grows with what comes from the server; null when this browser does not tell. */
  count(stats: Iterable<CountedStats>): number | null;
  /** Again at each look while it lasts. */
  onSilent(): void;
  /** Something came since the last look. */
  onFlowing(): void;
}

export class SilenceWatch {
  readonly #options: SilenceWatchOptions;
  #timer: ReturnType<typeof setInterval> | null = null;
  #seen = { connection: null as RTCPeerConnection | null, count: 0, changedAt: 0 };

  constructor(options: SilenceWatchOptions) {
    this.#options = options;
  }

  /** Idempotent. */
  start(): void {
    this.#timer ??= setInterval(() => void this.#look(), LOOK_INTERVAL_MS);
  }

  /** Idempotent. */
  stop(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  async #look(): Promise<void> {
    const connection = this.#options.connection();
    if (connection?.connectionState !== 'connected') return;
    const count = this.#options.count((await connection.getStats()).values() as Iterable<CountedStats>);
    // Stopped, or another connection is in use by now.
    if (this.#timer === null || count === null || this.#options.connection() !== connection) return;
    const now = performance.now();
    const isSame = this.#seen.connection === connection;
    if (!isSame || this.#seen.count !== count) {
      this.#seen = { connection, count, changedAt: now };
      if (isSame) this.#options.onFlowing();
    } else if (now - this.#seen.changedAt >= SILENCE_MS) {
      this.#options.onSilent();
    }
  }
}

/** What a viewer gets: media packets. */
export function receivedPackets(stats: Iterable<CountedStats>): number {
  let packets = 0;
  for (const { type, packetsReceived = 0 } of stats) if (type === 'inbound-rtp') packets += packetsReceived;
  return packets;
}

/**
 * What a publisher gets, who receives no media: the server's RTCP, several times a second while media flows, and its
 * responses to ICE checks.
 */
export function receivedSigns(stats: Iterable<CountedStats>): number | null {
  let signs: number | null = null;
  for (const { type, bytesReceived, responsesReceived } of stats) {
    if (type !== 'candidate-pair' || bytesReceived === undefined) continue;
    signs = (signs ?? 0) + bytesReceived + (responsesReceived ?? 0);
  }
  return signs;
}
