/** What the addon counts, read where it lies: views of its memory. */
import type { SinkCounters } from '../fanout-engine.ts';
import type { SendingStats } from '../types.ts';
import type { SendMethods } from './send-methods.ts';

/** Places in the array; `addon/counters.h` has the same list. */
const PACKETS = 0;
const BYTES = 1;
const FAILED = 2;
const SYSTEM_CALLS = 3;
const SEGMENTED = 4;
const WAITS = 5;
const DROPPED = 6;
const DELAYED = 7;
const ROOM = 8;
const SEND_BUFFER = 9;
const MESSAGES = 10;
const TOO_LATE = 11;
const NO_ROOM = 12;

/** Sinks per view, and numbers per sink. */
const CHUNK = 1024;
const SINK_NUMBERS = 2;

export class NativeCounters {
  readonly #native: SendMethods;
  readonly #all: Float64Array;
  /** By handle, `CHUNK` each. */
  readonly #sinks: Float64Array[] = [];

  constructor(native: SendMethods) {
    this.#native = native;
    this.#all = new Float64Array(native.counters());
  }

  get packets(): number {
    return this.#all[PACKETS] as number;
  }
  get bytes(): number {
    return this.#all[BYTES] as number;
  }
  get failed(): number {
    return this.#all[FAILED] as number;
  }
  get room(): number {
    return this.#all[ROOM] as number;
  }

  get sending(): SendingStats {
    const at = (place: number): number => this.#all[place] as number;
    return {
      systemCalls: at(SYSTEM_CALLS),
      segmented: at(SEGMENTED),
      messages: at(MESSAGES),
      waits: at(WAITS),
      dropped: at(DROPPED),
      tooLate: at(TOO_LATE),
      noRoom: at(NO_ROOM),
      delayed: at(DELAYED),
      sendBufferBytes: at(SEND_BUFFER),
    };
  }

  /** Of an open sink. */
  sink(sink: number, into: SinkCounters): void {
    const chunk = Math.floor(sink / CHUNK);
    this.#sinks[chunk] ??= new Float64Array(this.#native.sinkCounters(sink));
    const at = (sink % CHUNK) * SINK_NUMBERS;
    into.packets = this.#sinks[chunk][at] as number;
    into.bytes = this.#sinks[chunk][at + 1] as number;
  }
}
