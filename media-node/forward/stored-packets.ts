/**
 * Packets that an engine sends to one viewer out of a group's log (see `FanoutEngine.openLog`): which they are, and how an
 * engine without memory of its own finds them.
 */
import type { GroupHandle, GroupOptions } from './fanout-engine.ts';
import { MAX_DATAGRAM_BYTES } from './rtcp-mux.ts';
import { COPIED_COUNT, SourcePacket } from './source-packet.ts';

/** Places in a row; `native/addon/send-methods.cc` has the same list. */
const START = 0;
const LENGTH = 1;
const SEQUENCE = 2;
const TIMESTAMP = 3;
const ROW = 4;

/** Up to `CAPACITY` packets of a log, and the extended sequence number and timestamp that each is sent under. */
export class StoredBatch {
  static readonly CAPACITY = 64;
  readonly rows = new Float64Array(StoredBatch.CAPACITY * ROW);
  count = 0;

  /** `start`: where the packet is, as `PacketRing.startOf` says. */
  add(start: number, length: number, extSequence: number, timestamp: number): void {
    const at = this.count * ROW;
    this.rows[at + START] = start;
    this.rows[at + LENGTH] = length;
    this.rows[at + SEQUENCE] = extSequence;
    this.rows[at + TIMESTAMP] = timestamp;
    this.count++;
  }

  start(index: number): number {
    return this.rows[index * ROW + START] as number;
  }
  length(index: number): number {
    return this.rows[index * ROW + LENGTH] as number;
  }
  sequence(index: number): number {
    return this.rows[index * ROW + SEQUENCE] as number;
  }
  timestamp(index: number): number {
    return this.rows[index * ROW + TIMESTAMP] as number;
  }
}

const NO_IDS = new Uint8Array(COPIED_COUNT);
const NO_LOG = Buffer.alloc(0);

/** The logs of an engine that reads them in JavaScript. */
export class GroupLogs {
  readonly #groups: { log: Buffer; sourceIds: Uint8Array }[] = [];
  readonly #bytes = Buffer.alloc(MAX_DATAGRAM_BYTES);
  readonly #packet = new SourcePacket();

  open(group: GroupHandle, options: GroupOptions | undefined): void {
    this.#groups[group] = { log: NO_LOG, sourceIds: options?.sourceIds ?? NO_IDS };
  }

  openLog(group: GroupHandle, bytes: number): Buffer {
    const log = Buffer.allocUnsafeSlow(bytes);
    const opened = this.#groups[group];
    if (opened === undefined) throw new RangeError(`handle ${group} is not open`);
    opened.log = log;
    return log;
  }

  close(group: GroupHandle): void {
    delete this.#groups[group];
  }

  /**
   * A packet of the batch; valid until the next call.
   * @throws {RangeError} when there is none at its place
   */
  read(group: GroupHandle, batch: StoredBatch, index: number): SourcePacket {
    const { log, sourceIds } = this.#groups[group] ?? { log: NO_LOG, sourceIds: NO_IDS };
    const offset = batch.start(index) % log.length;
    const length = log.copy(this.#bytes, 0, offset, offset + batch.length(index));
    if (length !== batch.length(index) || !this.#packet.read(this.#bytes, length, sourceIds)) {
      throw new RangeError('there is no packet at this place');
    }
    return this.#packet;
  }
}
