/**
 * The runtime makes a database for each Durable Object that is asked anything, and keeps the file when nothing is in it:
 * one for every room that ever was, and for every name that somebody has guessed. Without this they pile up for ever.
 */
import { closeSync, existsSync, openSync, readdirSync, readSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Of an object, by its id; beside them lies the runtime's own `metadata.sqlite`. */
const OBJECT_FILE = /^[0-9a-f]{64}\.sqlite$/;
/** Of the SQLite file format: the database header (§1.3), then that of the first page's b-tree (§1.6). */
const HEAD_BYTES = 108;
const PAGE_COUNT_OFFSET = 28;
const PAGE_TYPE_OFFSET = 100;
const CELL_COUNT_OFFSET = 103;
const TABLE_LEAF = 0x0d;

/**
 * Removes the databases without a table below `directory` (one directory per class). Only while no runtime uses them.
 * Returns how many.
 */
export function removeEmptyObjects(directory: string): number {
  if (!existsSync(directory)) return 0;
  let removed = 0;
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    if (!entry.isDirectory()) continue;
    for (const name of readdirSync(join(directory, entry.name))) {
      const path = join(directory, entry.name, name);
      if (!OBJECT_FILE.test(name) || !isEmpty(path)) continue;
      for (const suffix of ['', '-shm', '-wal']) rmSync(`${path}${suffix}`, { force: true });
      removed += 1;
    }
  }
  return removed;
}

/** One page, the schema, with nothing in it; and nothing in the log that would be added to it. */
function isEmpty(path: string): boolean {
  if ((statSync(`${path}-wal`, { throwIfNoEntry: false })?.size ?? 0) > 0) return false;
  const head = Buffer.alloc(HEAD_BYTES);
  const file = openSync(path, 'r');
  try {
    if (readSync(file, head, 0, HEAD_BYTES, 0) < HEAD_BYTES) return false;
  } finally {
    closeSync(file);
  }
  return (
    head.toString('latin1', 0, 16) === 'SQLite format 3\0' &&
    head.readUInt32BE(PAGE_COUNT_OFFSET) === 1 &&
    head.readUInt8(PAGE_TYPE_OFFSET) === TABLE_LEAF &&
    head.readUInt16BE(CELL_COUNT_OFFSET) === 0
  );
}
