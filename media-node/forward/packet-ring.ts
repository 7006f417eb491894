/**
 * The recent plaintext packets of one source stream, by extended sequence number: what NACKs are answered from and new
 * viewers are started from. Packets lie one after the other in a circular log of bytes, so that small (audio) packets
 * cost little; a table of slots, indexed by sequence number, tells where each one is. Both grow in powers of two.
 */

export interface PacketRingOptions {
  /** Size of the log at first and at most, bytes; powers of two. */
  initialBytes: number;
  maxBytes: number;
  /** The log grows (up to `maxBytes`) when it would hold less than this. */
  historyMs: number;
  /** Makes the memory of the log: an engine may want to read it. `Buffer.allocUnsafeSlow` when absent. */
  allocate?: (bytes: number) => Buffer;
}

const INITIAL_SLOTS = 64;
const MAX_SLOTS = 32_768;
/** A slot that was never used; no sequence number is negative. */
const EMPTY = -1;

export class PacketRing {
  readonly #options: PacketRingOptions;
  readonly #allocate: (bytes: number) => Buffer;
  #log: Buffer;
  /** Bytes ever written, with those skipped at the end of a lap. A position in the log is this modulo its size. */
  #written = 0;
  #lapStartedMs = Number.NaN;
  #slots = INITIAL_SLOTS;
  #sequence = new Float64Array(INITIAL_SLOTS).fill(EMPTY);
  #start = new Float64Array(INITIAL_SLOTS);
  #length = new Uint16Array(INITIAL_SLOTS);
  #timestamp = new Uint32Array(INITIAL_SLOTS);
  #arrivalMs = new Float64Array(INITIAL_SLOTS);
  /** What `load` found last. */
  loadedLength = 0;

  constructor(options: PacketRingOptions) {
    this.#options = options;
    this.#allocate = options.allocate ?? Buffer.allocUnsafeSlow;
    this.#log = this.#allocate(options.initialBytes);
  }

  /** Bytes reserved for packets. */
  get capacityBytes(): number {
    return this.#log.length;
  }

  /** How many consecutive sequence numbers can be told apart. */
  get slots(): number {
    return this.#slots;
  }

  /**
   * Copies a packet in. `keepFrom` is the sequence number of the oldest packet that is worth growing for (the start of
   * the newest keyframe), or -1. Returns where it is, as `startOf` does.
   */
  store(sequence: number, timestamp: number, packet: Buffer, length: number, nowMs: number, keepFrom: number): number {
    if (this.#log.length === 0) return -1;
    this.#makeRoom(length, nowMs, keepFrom);
    this.#makeSlot(sequence);
    const slot = sequence % this.#slots;
    const start = this.#written;
    packet.copy(this.#log, start % this.#log.length, 0, length);
    this.#sequence[slot] = sequence;
    this.#start[slot] = start;
    this.#length[slot] = length;
    this.#timestamp[slot] = timestamp;
    this.#arrivalMs[slot] = nowMs;
    this.#written += length;
    return start;
  }

  /** Whether the packet is here. */
  has(sequence: number): boolean {
    return this.#slotOf(sequence) >= 0;
  }

  /**
   * Whether the packet was stored once, or so long ago that nobody can tell: such a late packet must not be taken as
   * new.
   */
  wasStored(sequence: number): boolean {
    return sequence < 0 || (this.#sequence[sequence % this.#slots] as number) >= sequence;
  }

  /**
   * Where in the log the packet is, modulo its size; -1 when it is gone. Counts from 0 again when the log has grown, so
   * ask anew after each `store`.
   */
  startOf(sequence: number): number {
    return this.#start[this.#slotOf(sequence)] ?? -1;
  }

  /** Bytes of a packet that is here. */
  lengthOf(sequence: number): number {
    return this.#length[this.#slotOf(sequence)] ?? 0;
  }

  /** Puts the packet into `into` (large enough) and its length into `loadedLength`; false when it is gone. */
  load(sequence: number, into: Buffer): boolean {
    const slot = this.#slotOf(sequence);
    if (slot < 0) return false;
    const start = (this.#start[slot] as number) % this.#log.length;
    this.loadedLength = this.#length[slot] as number;
    this.#log.copy(into, 0, start, start + this.loadedLength);
    return true;
  }

  /** RTP timestamp of a packet that is here. */
  timestampOf(sequence: number): number {
    return this.#timestamp[this.#slotOf(sequence)] ?? 0;
  }

  /** When a packet that is here came, monotonic milliseconds. */
  arrivalOf(sequence: number): number {
    return this.#arrivalMs[this.#slotOf(sequence)] ?? 0;
  }

  /** Bytes of the log from this packet to the end; infinite when it is gone. */
  bytesSince(sequence: number): number {
    const slot = this.#slotOf(sequence);
    return slot < 0 ? Number.POSITIVE_INFINITY : this.#written - (this.#start[slot] as number);
  }

  /** Forgets everything, frees the memory and stores no more: viewers may hold on to a stream that ended. */
  release(): void {
    this.#sequence = new Float64Array(INITIAL_SLOTS).fill(EMPTY);
    this.#slots = INITIAL_SLOTS;
    this.#log = Buffer.alloc(0);
    this.#written = 0;
  }

  #slotOf(sequence: number): number {
    if (sequence < 0) return -1;
    const slot = sequence % this.#slots;
    if (this.#sequence[slot] !== sequence) return -1;
    return this.#written - (this.#start[slot] as number) <= this.#log.length ? slot : -1;
  }

  #makeRoom(length: number, nowMs: number, keepFrom: number): void {
    if (Number.isNaN(this.#lapStartedMs)) this.#lapStartedMs = nowMs;
    const size = this.#log.length;
    const used = this.#written % size;
    const skipped = used + length > size ? size - used : 0;
    const lapEnds = skipped > 0 || used + length === size;
    const lapTooShort = lapEnds && nowMs - this.#lapStartedMs < this.#options.historyMs;
    const needed = this.bytesSince(keepFrom) + skipped + length;
    const losesKept = Number.isFinite(needed) && needed > size;
    if ((lapTooShort || losesKept) && size < this.#options.maxBytes) {
      this.#growLog();
      this.#makeRoom(length, nowMs, keepFrom);
      return;
    }
    if (lapEnds) this.#lapStartedMs = nowMs;
    this.#written += skipped;
  }

  /** Moves what is still here into a log of twice the size, in order of arrival. */
  #growLog(): void {
    const old = this.#log;
    const log = this.#allocate(Math.min(old.length * 2, this.#options.maxBytes));
    const alive: number[] = [];
    for (let slot = 0; slot < this.#slots; slot++) {
      const sequence = this.#sequence[slot] as number;
      if (this.#slotOf(sequence) === slot) alive.push(slot);
    }
    alive.sort((a, b) => (this.#start[a] as number) - (this.#start[b] as number));
    // Slots whose bytes are gone keep their sequence number (for `wasStored`) and must stay gone.
    const gone = -2 * log.length;
    const starts = new Float64Array(this.#slots).fill(gone);
    let written = 0;
    for (const slot of alive) {
      const from = (this.#start[slot] as number) % old.length;
      const length = this.#length[slot] as number;
      old.copy(log, written, from, from + length);
      starts[slot] = written;
      written += length;
    }
    this.#start = starts;
    this.#log = log;
    this.#written = written;
  }

  /** Doubles the slots until the one of `sequence` does not hold a packet that is still here. */
  #makeSlot(sequence: number): void {
    while (this.#slots < MAX_SLOTS) {
      const slot = sequence % this.#slots;
      const occupant = this.#sequence[slot] as number;
      if (occupant === sequence || this.#slotOf(occupant) < 0) return;
      // A jump of the numbering is no reason to grow: no table is large enough for it.
      if (Math.abs(sequence - occupant) > 2 * this.#slots) return;
      this.#growSlots();
    }
  }

  #growSlots(): void {
    const count = this.#slots * 2;
    const sequence = new Float64Array(count).fill(EMPTY);
    const start = new Float64Array(count);
    const length = new Uint16Array(count);
    const timestamp = new Uint32Array(count);
    const arrivalMs = new Float64Array(count);
    for (let slot = 0; slot < this.#slots; slot++) {
      const value = this.#sequence[slot] as number;
      if (value === EMPTY) continue;
      const target = value % count;
      sequence[target] = value;
      start[target] = this.#start[slot] as number;
      length[target] = this.#length[slot] as number;
      timestamp[target] = this.#timestamp[slot] as number;
      arrivalMs[target] = this.#arrivalMs[slot] as number;
    }
    this.#slots = count;
    this.#sequence = sequence;
    this.#start = start;
    this.#length = length;
    this.#timestamp = timestamp;
    this.#arrivalMs = arrivalMs;
  }
}
