/**
 * The runtime makes a database for each Durable Object that is asked anything, and keeps the file when nothing is in it:
 * one for every room that ever was, and for every name that somebody has guessed. Without this they pile up for ever. No
 * object can do it itself: the file is made before the object is asked anything, and is back after `deleteAll`.
 */
import { closeSync, existsSync, openSync, readdirSync, readSync, renameSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

/** Of an object, by its id; beside them lies the runtime's own `metadata.sqlite`. */
const OBJECT_FILE = /^[0-9a-f]{64}\.sqlite$/;
/** Of the SQLite file format: the database header (§1.3), then that of the first page's b-tree (§1.6). */
const HEAD_BYTES = 108;
const PAGE_COUNT_OFFSET = 28;
const PAGE_TYPE_OFFSET = 100;
const CELL_COUNT_OFFSET = 103;
const TABLE_LEAF = 0x0d;

/** What the runtime lays beside a database as long as an object has it open. */
const OPEN_SUFFIXES = ['-shm', '-wal'];
/** Of a database that is put aside, to see whether it is missed. */
const ASIDE_SUFFIX = '.empty';
/** Left by a sweep that was cut off. */
const ASIDE_FILE = /^[0-9a-f]{64}\.sqlite\.empty$/;
/** The runtime lets go of an object that nobody asks after 10 s: younger ones may be asked again at any moment. */
const MIN_AGE_MS = 60_000;
/** Whoever opens a database has laid something beside it long before. */
const MISSED_AFTER_MS = 2_000;

/**
 * Removes the databases without a table below `directory` (one directory per class). Only while no runtime uses them.
 * Returns how many.
 */
export function removeEmptyObjects(directory: string): number {
  for (const aside of objectFiles(directory, ASIDE_FILE)) {
    const path = aside.slice(0, -ASIDE_SUFFIX.length);
    // Cut off before it was put back: what its object wrote is in the log, which is nothing without the file.
    if (!existsSync(path) && existsSync(`${path}-wal`)) renameSync(aside, path);
    else rmSync(aside);
  }
  const empty = objectFiles(directory).filter(isEmpty);
  for (const path of empty) for (const suffix of ['', ...OPEN_SUFFIXES]) rmSync(path + suffix, { force: true });
  return empty.length;
}

function objectFiles(directory: string, pattern = OBJECT_FILE): string[] {
  if (!existsSync(directory)) return [];
  const classes = readdirSync(directory, { withFileTypes: true }).filter((entry) => entry.isDirectory());
  return classes.flatMap(({ name: of }) =>
    readdirSync(join(directory, of))
      .filter((name) => pattern.test(name))
      .map((name) => join(directory, of, name)),
  );
}

/**
 * The same while a runtime uses the directory: each is put aside first, and put back when an object turns out to have it open.
 * Returns how many it removed. `waitMs` resolves after so long.
 */
export async function sweepEmptyObjects(
  directory: string,
  { now, waitMs }: { now: number; waitMs: (ms: number) => Promise<unknown> },
): Promise<number> {
  const aside = objectFiles(directory).filter((path) => {
    if (OPEN_SUFFIXES.some((suffix) => existsSync(path + suffix)) || !isEmpty(path)) return false;
    if (now - statSync(path).mtimeMs < MIN_AGE_MS) return false;
    renameSync(path, path + ASIDE_SUFFIX);
    return true;
  });
  if (aside.length === 0) return 0;
  await waitMs(MISSED_AFTER_MS);
  return aside.filter((path) => {
    const isMissed = !existsSync(path) && OPEN_SUFFIXES.some((suffix) => existsSync(path + suffix));
    if (isMissed) renameSync(path + ASIDE_SUFFIX, path);
    else rmSync(path + ASIDE_SUFFIX, { force: true });
    return !isMissed;
  }).length;
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
