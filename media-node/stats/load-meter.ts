/** How busy this process is, measured between two samples. */
import type { NodeLoad } from '../../shared/protocol/control.ts';

export interface LoadReadings {
  /** Monotonic milliseconds. */
  nowMs: number;
  /** CPU time used by the process so far, microseconds. */
  cpuUs: number;
  /** Packets in and out so far. */
  packets: number;
  /** Bytes sent so far. */
  bytesOut: number;
}

export class LoadMeter {
  readonly #read: () => LoadReadings;
  #last: LoadReadings;

  constructor(read: () => LoadReadings) {
    this.#read = read;
    this.#last = read();
  }

  /** The load since the sample before. */
  sample(sessions: number): NodeLoad {
    const now = this.#read();
    const elapsedMs = Math.max(1, now.nowMs - this.#last.nowMs);
    const load = {
      sessions,
      packetsPerSecond: ((now.packets - this.#last.packets) * 1_000) / elapsedMs,
      bytesOutPerSecond: ((now.bytesOut - this.#last.bytesOut) * 1_000) / elapsedMs,
      cpu: (now.cpuUs - this.#last.cpuUs) / 1_000 / elapsedMs,
    };
    this.#last = now;
    return load;
  }
}
