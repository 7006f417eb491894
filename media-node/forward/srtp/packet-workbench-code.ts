/**
 * The code of the packet workbench: AES-GCM of one packet, when keystream and tables of the hash key are given (NIST SP
 * 800-38D §6.4, §7.1), and plain counter mode. WebAssembly, because node:crypto wants a new cipher for each packet, which
 * costs several times what there is to calculate, and leaves garbage behind.
 *
 * GHASH multiplies in the field by table look-ups that are shuffles of a vector, as BoringSSL does for processors without
 * a carry-less multiplication (`ghash-ssse3`): neither an address nor a branch depends on a key or a packet's contents.
 */
import { BLOCK_BYTES, POWERS, rowOffset, TABLES_BYTES } from './ghash-tables.ts';
import { assemble, type Code, i32, local, repeat, v128, when } from './wasm-code.ts';

/** An RTP header with all the extensions that we copy, each as long as can be, is shorter. */
export const MAX_HEADER_BYTES = 2_048;
export const MAX_PAYLOAD_BYTES = 4_096;
/** Of SHA-1. */
export const HMAC_BLOCK_BYTES = 64;

/** Where things are in the memory. What is written by whole blocks may run over by one. */
const MASKS = 0;
const TABLES = MASKS + 2 * BLOCK_BYTES;
const KEYSTREAM = TABLES + TABLES_BYTES;
const PAYLOAD = KEYSTREAM + BLOCK_BYTES + MAX_PAYLOAD_BYTES;
/** HMAC's inner block stands before what it authenticates (RFC 2104). */
const INNER = PAYLOAD + MAX_PAYLOAD_BYTES;
const OUT = INNER + HMAC_BLOCK_BYTES;
const OUT_BYTES = MAX_HEADER_BYTES + MAX_PAYLOAD_BYTES + 4 * BLOCK_BYTES;
/** Before what is hashed are zeros, which count for nothing: so it is always a whole number of groups. */
const ZEROS = OUT + OUT_BYTES;
const HASHED = ZEROS + (POWERS - 1) * BLOCK_BYTES;
export const WORKBENCH = {
  masks: MASKS,
  tables: TABLES,
  keystream: KEYSTREAM,
  payload: PAYLOAD,
  inner: INNER,
  out: OUT,
} as const;
export const WORKBENCH_OUT_BYTES = OUT_BYTES;
/** 16 bytes that keep, and 16 that do not: from the middle backwards, the mask of a block of which so many bytes count. */
export const MASK_BYTES = Buffer.alloc(2 * BLOCK_BYTES).fill(0xff, 0, BLOCK_BYTES);

const HEADER_LENGTH = 0;
const PAYLOAD_LENGTH = 1;
const numbers = { at: 2, end: 3, text: 4 } as const;
const FIRST_VECTOR = 5;
const hash = FIRST_VECTOR;
const low = hash + 1;
const high = low + 1;
const carried = high + 1;
const nibbles = carried + 1;
const VECTORS = 4 + POWERS * 2;

const zero = v128.bytes(0);
const get = local.get;
/** Byte `i` goes to `i + 1`, and the last one of `a` becomes the first. */
const SHIFTED_IN = [15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30];

/** A length, and what fills the last block. */
function padded(length: Code): Code {
  return i32.and(i32.add(length, i32.const(BLOCK_BYTES - 1)), i32.const(-BLOCK_BYTES));
}

/** Clears what is behind the end of the last block of `length` bytes (1 and more) that begin at `start`. */
function clearRest(start: Code, length: Code): Code {
  const beforeLast = i32.and(i32.sub(length, i32.const(1)), i32.const(-BLOCK_BYTES));
  // The mask begins as many bytes before the middle as count.
  const counting = i32.add(i32.and(i32.sub(length, i32.const(1)), i32.const(BLOCK_BYTES - 1)), i32.const(1));
  const mask = v128.load(i32.sub(i32.const(MASKS + BLOCK_BYTES), counting));
  const block = i32.add(start, beforeLast);
  return v128.store(block, v128.and(v128.load(block), mask));
}

/** `body` for each whole block below `end`, `at` counting bytes. */
function eachBlock(end: Code, body: Code): Code {
  const next = local.set(numbers.at, i32.add(get(numbers.at), i32.const(BLOCK_BYTES)));
  return [
    ...local.set(numbers.at, i32.const(0)),
    ...local.set(numbers.end, end),
    ...when(
      i32.ltU(get(numbers.at), get(numbers.end)),
      repeat([...body, ...next], i32.ltU(get(numbers.at), get(numbers.end))),
    ),
  ];
}

/** @param offset of the keystream's first block that is for the payload */
function encryptedAt(offset: number): Code {
  return v128.xor(v128.load(get(numbers.at), PAYLOAD), v128.load(get(numbers.at), KEYSTREAM + offset));
}

/** Multiplication by x^n, 0 < n < 8, of what has no bits to lose: `high`, with `carried` as its bytes one further. */
function timesX(n: number): Code {
  return v128.xor(
    v128.and(v128.shrU16(get(high), i32.const(n)), v128.bytes(0xff >> n)),
    v128.and(v128.shl16(get(carried), i32.const(8 - n)), v128.bytes((0xff << (8 - n)) & 0xff)),
  );
}

/**
 * Takes a group of blocks into `hash`. Of each byte of each block, the products of its nibbles have 16 bytes; byte `j` of
 * what byte `k` gives belongs to byte `j + k` of the whole, which has 31. From the last row on, the sum is moved by a byte
 * and the next row is added.
 */
function hashGroup(): Code {
  const code: number[] = [];
  for (let block = 0; block < POWERS; block++) {
    let value = v128.load(get(numbers.at), block * BLOCK_BYTES);
    if (block === 0) value = v128.xor(value, get(hash));
    code.push(
      ...local.set(hash, value),
      ...local.set(nibbles + block * 2, v128.and(v128.shrU16(get(hash), i32.const(4)), v128.bytes(0x0f))),
      ...local.set(nibbles + block * 2 + 1, v128.and(get(hash), v128.bytes(0x0f))),
    );
  }
  code.push(...local.set(high, zero), ...local.set(low, zero));
  for (let row = BLOCK_BYTES - 1; row >= 0; row--) {
    let sum = v128.shuffle(zero, get(low), SHIFTED_IN);
    for (let block = 0; block < POWERS; block++) {
      for (const half of [0, 1]) {
        const table = v128.load(i32.const(0), TABLES + rowOffset(block, half, row));
        sum = v128.xor(sum, v128.swizzle(table, get(nibbles + block * 2 + half)));
      }
    }
    code.push(...local.set(high, v128.shuffle(get(low), get(high), SHIFTED_IN)), ...local.set(low, sum));
  }
  // x^128 is x^7 + x^2 + x + 1. The 32nd byte is empty, so nothing is shifted out of the upper half.
  code.push(...local.set(carried, v128.shuffle(zero, get(high), SHIFTED_IN)));
  const reduced = [get(high), timesX(1), timesX(2), timesX(7)].reduce((sum, term) => v128.xor(sum, term), get(low));
  code.push(...local.set(hash, reduced));
  return code;
}

/** 16 bits in network order. */
function swapped(value: Code): Code {
  return i32.or(i32.shl(value, i32.const(8)), i32.shrU(value, i32.const(8)));
}

/** Both lengths in bits, at `text` (NIST SP 800-38D §7.1, step 5). */
function writeLengths(): Code {
  const bits = (length: Code): Code => swapped(i32.shl(length, i32.const(3)));
  return [
    ...v128.store(get(numbers.text), zero),
    ...i32.store16(get(numbers.text), bits(get(HEADER_LENGTH)), 6),
    ...i32.store16(get(numbers.text), bits(get(PAYLOAD_LENGTH)), 14),
  ];
}

const seal: Code = [
  // The header and its padding, then the ciphertext and its padding, then the lengths.
  ...eachBlock(get(HEADER_LENGTH), v128.store(get(numbers.at), v128.load(get(numbers.at), OUT), HASHED)),
  ...clearRest(i32.const(HASHED), get(HEADER_LENGTH)),
  ...local.set(numbers.text, i32.add(i32.const(HASHED), padded(get(HEADER_LENGTH)))),
  ...eachBlock(get(PAYLOAD_LENGTH), [
    ...v128.store(i32.add(get(numbers.at), get(numbers.text)), encryptedAt(BLOCK_BYTES)),
    ...v128.store(i32.add(get(numbers.at), get(HEADER_LENGTH)), encryptedAt(BLOCK_BYTES), OUT),
  ]),
  ...when(get(PAYLOAD_LENGTH), clearRest(get(numbers.text), get(PAYLOAD_LENGTH))),
  ...local.set(numbers.text, i32.add(get(numbers.text), padded(get(PAYLOAD_LENGTH)))),
  ...writeLengths(),
  ...local.set(numbers.end, i32.add(get(numbers.text), i32.const(BLOCK_BYTES))),
  // So many zeros before it that it is whole groups.
  ...local.set(
    numbers.at,
    i32.sub(
      i32.const(HASHED),
      i32.and(i32.sub(i32.const(HASHED), get(numbers.end)), i32.const(POWERS * BLOCK_BYTES - 1)),
    ),
  ),
  ...local.set(hash, zero),
  ...repeat(
    [...hashGroup(), ...local.set(numbers.at, i32.add(get(numbers.at), i32.const(POWERS * BLOCK_BYTES)))],
    i32.ltU(get(numbers.at), get(numbers.end)),
  ),
  ...v128.store(
    i32.add(get(HEADER_LENGTH), get(PAYLOAD_LENGTH)),
    v128.xor(get(hash), v128.load(i32.const(0), KEYSTREAM)),
    OUT,
  ),
];

const encrypt: Code = eachBlock(
  get(PAYLOAD_LENGTH),
  v128.store(i32.add(get(numbers.at), get(HEADER_LENGTH)), encryptedAt(0), OUT),
);

/** Both take the lengths of header and payload. `seal` wants E(J0) before the keystream; `encrypt` makes no tag. */
export interface WorkbenchExports {
  seal(headerLength: number, payloadLength: number): void;
  encrypt(headerLength: number, payloadLength: number): void;
}

export function assembleWorkbench(): Uint8Array<ArrayBuffer> {
  const shape = { parameters: 2, numbers: 3, vectors: VECTORS };
  return assemble([
    { name: 'seal', ...shape, body: seal },
    { name: 'encrypt', ...shape, body: encrypt },
  ]);
}
