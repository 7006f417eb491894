/**
 * Why: node:crypto hands out ciphertext in new memory for each packet, which costs more than the cipher. A GCM of which all
 * input is additional data has no ciphertext, only a tag, and we make the ciphertext by a `Keystream`.
 *
 * The tag is `E(J0) XOR GHASH(A, C)`, and GHASH runs over `A` padded to blocks, `C` padded to blocks, and last a block with
 * both lengths in bits (NIST SP 800-38D §6.4, §7.1). So the tag over the additional data `pad(A) | C` runs through the same
 * blocks but for the last; as that one is only multiplied by H once, the two tags differ by
 * `([len A, len C] XOR [len pad(A)|C, 0]) · H`, which is here.
 */
import type { Cipheriv } from 'node:crypto';

const BLOCK_BYTES = 16;
const BITS = 8;
/** Packets are shorter than 2^13 bytes: their lengths in bits have no other bits than these. */
const LOWEST_BIT = 3;
const LENGTH_BITS = 14;
const HALF_BITS = 64;
/** x^128 + x^7 + x^2 + x + 1, the bits as GCM writes them. */
const REDUCTION = 0xe1;

export class GcmLengths {
  /** `x^i · H` for the bits that a length may have: those of `A` first, then those of `C`; 16 bytes each. */
  readonly #powers = new Uint8Array(2 * LENGTH_BITS * BLOCK_BYTES);
  readonly #difference = new Uint8Array(BLOCK_BYTES);
  #headerBytes = -1;
  #payloadBytes = -1;

  /** @param cipher AES of the session's key, block by block */
  constructor(cipher: Cipheriv) {
    const power = Uint8Array.from(cipher.update(Buffer.alloc(BLOCK_BYTES)));
    // The most significant bit of a block is x^0; bit `b` of the first half's length is x^(63 - b).
    for (let exponent = 0; exponent < 2 * HALF_BITS; exponent++) {
      const bit = HALF_BITS - 1 - (exponent % HALF_BITS) - LOWEST_BIT;
      if (bit >= 0 && bit < LENGTH_BITS) {
        const half = exponent < HALF_BITS ? 0 : LENGTH_BITS;
        this.#powers.set(power, (half + bit) * BLOCK_BYTES);
      }
      multiplyByX(power);
    }
  }

  /** What the two tags differ by, 16 bytes; valid until the next call. */
  difference(headerBytes: number, payloadBytes: number): Uint8Array {
    const difference = this.#difference;
    if (headerBytes === this.#headerBytes && payloadBytes === this.#payloadBytes) return difference;
    this.#headerBytes = headerBytes;
    this.#payloadBytes = payloadBytes;
    difference.fill(0);
    this.#add(headerBytes ^ (paddedLength(headerBytes) + payloadBytes), 0);
    this.#add(payloadBytes, LENGTH_BITS);
    return difference;
  }

  #add(bytes: number, half: number): void {
    for (let bit = 0; bytes >> bit !== 0; bit++) {
      if (((bytes >> bit) & 1) === 0) continue;
      const at = (half + bit) * BLOCK_BYTES;
      for (let i = 0; i < BLOCK_BYTES; i++) this.#difference[i] = at8(this.#difference, i) ^ at8(this.#powers, at + i);
    }
  }
}

/** `length`, and what fills the last block. */
export function paddedLength(length: number): number {
  return Math.ceil(length / BLOCK_BYTES) * BLOCK_BYTES;
}

function multiplyByX(block: Uint8Array): void {
  const carry = at8(block, BLOCK_BYTES - 1) & 1;
  for (let i = BLOCK_BYTES - 1; i > 0; i--) block[i] = (at8(block, i) >> 1) | ((at8(block, i - 1) & 1) << (BITS - 1));
  block[0] = (at8(block, 0) >> 1) ^ (carry * REDUCTION);
}

function at8(bytes: Uint8Array, index: number): number {
  return bytes[index] as number;
}
