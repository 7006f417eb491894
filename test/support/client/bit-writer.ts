/** Writes H.264 syntax elements (ITU-T H.264 §7.2, §9.1). */
export class BitWriter {
  readonly #bytes: number[] = [];
  #current = 0;
  #bits = 0;

  /** u(n) */
  fixed(value: number, bits: number): this {
    for (let bit = bits - 1; bit >= 0; bit--) this.#push((value >>> bit) & 1);
    return this;
  }

  /** ue(v) */
  unsigned(value: number): this {
    const bits = 31 - Math.clz32(value + 1);
    return this.fixed(0, bits).fixed(value + 1, bits + 1);
  }

  /** se(v), of zero only */
  zero(): this {
    return this.unsigned(0);
  }

  align(): this {
    while (this.#bits !== 0) this.#push(0);
    return this;
  }

  /** Aligned bytes. */
  fill(value: number, count: number): this {
    for (let i = 0; i < count; i++) this.#bytes.push(value);
    return this;
  }

  /** rbsp_trailing_bits, and everything as a NAL unit with emulation prevention (§7.4.1.1). */
  nalUnit(header: number): Buffer {
    this.#push(1);
    this.align();
    const out = [header];
    let zeros = 0;
    for (const byte of this.#bytes) {
      if (zeros >= 2 && byte <= 3) {
        out.push(3);
        zeros = 0;
      }
      out.push(byte);
      zeros = byte === 0 ? zeros + 1 : 0;
    }
    return Buffer.from(out);
  }

  #push(bit: number): void {
    this.#current = (this.#current << 1) | bit;
    this.#bits += 1;
    if (this.#bits < 8) return;
    this.#bytes.push(this.#current);
    this.#current = 0;
    this.#bits = 0;
  }
}
