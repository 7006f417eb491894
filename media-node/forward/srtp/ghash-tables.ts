/**
 * What a session's hash key `H` is to `packet-workbench-code.ts`: tables by which a product with H, H², H³ or H⁴ is looked
 * up, a nibble at a time.
 *
 * For a nibble `n` and a power `p` of H, `n · p` has 16 bytes. A table has them by columns: row `j` is byte `j` of all 16
 * products, so that one shuffle looks up byte `j` for 16 nibbles at once. The upper nibbles of the bytes have a table and
 * the lower ones, which stand for `x^4` as much, another.
 */
export const BLOCK_BYTES = 16;
/** Blocks that are multiplied before their sum is reduced once: the first by the highest power. */
export const POWERS = 4;
const NIBBLES = 16;
const NIBBLE_BITS = 4;
const TABLE_BYTES = NIBBLES * BLOCK_BYTES;
export const TABLES_BYTES = POWERS * 2 * TABLE_BYTES;
/** x^128 + x^7 + x^2 + x + 1, the bits as GCM writes them: the first is that of x^0 (NIST SP 800-38D §6.3). */
const REDUCTION = 0xe1;

/** Where a row stands: of the `block`-th of a group, for the upper (0) or lower (1) nibbles, byte `row` of the products. */
export function rowOffset(block: number, half: number, row: number): number {
  return (block * 2 + half) * TABLE_BYTES + row * BLOCK_BYTES;
}

/** @param hashKey the cipher's output for a block of zeros, 16 bytes */
export function ghashTables(hashKey: Uint8Array): Buffer {
  const tables = Buffer.alloc(TABLES_BYTES);
  let power = Uint8Array.from(hashKey);
  for (let block = POWERS - 1; block >= 0; block--) {
    if (block < POWERS - 1) power = multiply(power, hashKey);
    const shifted = Uint8Array.from(power);
    writeTable(tables, block, 0, shifted);
    writeTable(tables, block, 1, shifted);
  }
  return tables;
}

/** Leaves `value` multiplied by x^4. */
function writeTable(tables: Buffer, block: number, half: number, value: Uint8Array): void {
  for (let bit = 0; bit < NIBBLE_BITS; bit++) {
    // The first bit of a nibble is the one of the lowest power.
    const own = 1 << (NIBBLE_BITS - 1 - bit);
    for (let row = 0; row < BLOCK_BYTES; row++) {
      const at = rowOffset(block, half, row);
      const byte = value[row] as number;
      for (let nibble = 0; nibble < NIBBLES; nibble++)
        if ((nibble & own) !== 0) tables[at + nibble] = (tables[at + nibble] as number) ^ byte;
    }
    multiplyByX(value);
  }
}

/** Both are secret: no branch depends on them. */
function multiply(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const product = new Uint8Array(BLOCK_BYTES);
  const shifted = Uint8Array.from(b);
  for (let bit = 0; bit < BLOCK_BYTES * 8; bit++) {
    const mask = -(((a[bit >> 3] as number) >> (7 - (bit & 7))) & 1);
    for (let i = 0; i < BLOCK_BYTES; i++) product[i] = (product[i] as number) ^ ((shifted[i] as number) & mask);
    multiplyByX(shifted);
  }
  return product;
}

function multiplyByX(block: Uint8Array): void {
  const carry = (block[BLOCK_BYTES - 1] as number) & 1;
  for (let i = BLOCK_BYTES - 1; i > 0; i--) {
    block[i] = ((block[i] as number) >> 1) | (((block[i - 1] as number) & 1) << 7);
  }
  block[0] = ((block[0] as number) >> 1) ^ (carry * REDUCTION);
}
