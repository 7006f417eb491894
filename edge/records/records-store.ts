/**
 * The catalogue in its database: one row per recording, and the receipts of the parts that came through the edge. How far a
 * recording has come is known in memory and written seldom: its node says it again within seconds, and each write of a row
 * costs one of each index.
 */
import { z } from 'zod';
import type { LobbyId } from '../../shared/ids.ts';
import { lobbyIdSchema, nodeIdSchema, sessionIdSchema } from '../../shared/ids.ts';
import { type PartReceipt, type RecordId, recordIdSchema, recordStateSchema } from '../../shared/protocol/records.ts';
import { isProgress, type RecordEntry, type Upload } from './record.ts';

const VERSION_KEY = 'version';
const VERSION = 1;

const TABLES = [
  `CREATE TABLE records (
     id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, lobby TEXT NOT NULL, state TEXT NOT NULL,
     started INTEGER NOT NULL, updated INTEGER NOT NULL, ended INTEGER, entry TEXT NOT NULL)`,
  'CREATE INDEX records_by_start ON records (started, id)',
  'CREATE INDEX records_of_lobby ON records (lobby, started, id)',
  // The next alarm is worked out at each word of a node: not by reading all that was ever recorded.
  'CREATE INDEX records_by_end ON records (ended) WHERE ended IS NOT NULL',
  `CREATE INDEX records_in_the_making ON records (updated) WHERE state NOT IN ('ready', 'failed')`,
  'CREATE TABLE parts (record TEXT NOT NULL, part INTEGER NOT NULL, etag TEXT NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (record, part)) WITHOUT ROWID',
];

/** Failed, with parts in the store that its node may still go on with, or with an upload there of which nobody has heard. */
const HALF_SENT = `state = 'failed' AND COALESCE(json_extract(entry, '$.upload'), json_extract(entry, '$.opening')) IS NOT NULL`;
/** Came later than the tables. */
const HALF_SENT_INDEX = `CREATE INDEX IF NOT EXISTS records_half_sent_or_opening ON records (updated) WHERE ${HALF_SENT};
  DROP INDEX IF EXISTS records_half_sent`;

const via = z.enum(['edge', 's3']);
const entrySchema = z.object({
  id: recordIdSchema,
  name: z.string(),
  lobby: lobbyIdSchema,
  session: sessionIdSchema,
  node: nodeIdSchema,
  contentType: z.string(),
  codecs: z.array(z.string()),
  state: recordStateSchema,
  bytes: z.number(),
  durationMs: z.number(),
  uploadedBytes: z.number(),
  startedAt: z.number(),
  updatedAt: z.number(),
  endedAt: z.number().nullable(),
  error: z.string().nullable(),
  upload: z.object({ via, key: z.string(), uploadId: z.string() }).nullable(),
  // Not in entries that were written before there was such a thing.
  opening: z.object({ via, key: z.string() }).nullable().default(null),
  stored: z.object({ via, key: z.string() }).nullable(),
}) satisfies z.ZodType<RecordEntry>;

/** Progress that is not on the disk is younger than this. */
const PROGRESS_KEPT_MS = 60_000;

/** Where a page of the list ended. */
export interface Cursor {
  startedAt: number;
  id: string;
}

export class RecordsStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  /** The newest word about those that are being made, where it is not in the table, and of when the word is that is. */
  readonly #fresh = new Map<string, { entry: RecordEntry; writtenAt: number }>();

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    const version = storage.kv.get(VERSION_KEY);
    if (version === VERSION) {
      this.#sql.exec(HALF_SENT_INDEX);
      return;
    }
    if (version !== undefined) throw new Error(`the catalogue was written by another version (${String(version)})`);
    storage.transactionSync(() => {
      for (const table of [...TABLES, HALF_SENT_INDEX]) this.#sql.exec(table);
      storage.kv.put(VERSION_KEY, VERSION);
    });
  }

  get(id: RecordId): RecordEntry | null {
    return this.#one('SELECT entry FROM records WHERE id = ?', id);
  }

  named(name: string): RecordEntry | null {
    return this.#one('SELECT entry FROM records WHERE name = ?', name);
  }

  /** False: it is known and not written, because only its progress changed, and that was written a moment ago. */
  put(entry: RecordEntry): boolean {
    const { id, updatedAt } = entry;
    const before = this.get(id);
    const writtenAt = this.#fresh.get(id)?.writtenAt ?? before?.updatedAt ?? 0;
    if (before !== null && isProgress(before, entry) && Math.abs(updatedAt - writtenAt) < PROGRESS_KEPT_MS) {
      this.#fresh.set(id, { entry, writtenAt });
      return false;
    }
    this.#write(entry);
    return true;
  }

  /** Writes the newest word about it, should it be in memory only: what comes next is worked out from the table. */
  flush(id: RecordId): void {
    const fresh = this.#fresh.get(id);
    if (fresh !== undefined) this.#write(fresh.entry);
  }

  #write(entry: RecordEntry): void {
    const { id, name, lobby, state, startedAt, updatedAt, endedAt } = entry;
    this.#fresh.delete(id);
    this.#sql.exec(
      'INSERT OR REPLACE INTO records (id, name, lobby, state, started, updated, ended, entry) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      ...[id, name, lobby, state, startedAt, updatedAt, endedAt, JSON.stringify(entry)],
    );
  }

  delete(id: RecordId): void {
    this.#fresh.delete(id);
    this.#storage.transactionSync(() => {
      this.#sql.exec('DELETE FROM records WHERE id = ?', id);
      this.dropParts(id);
    });
  }

  /** Newest first, those that began before `before`. */
  list(input: { lobby: LobbyId | null; before: Cursor | null; limit: number }): RecordEntry[] {
    const { lobby, before, limit } = input;
    const at = before?.startedAt ?? Number.MAX_SAFE_INTEGER;
    const rows = this.#sql.exec(
      `SELECT entry FROM records
       WHERE (? OR lobby = ?) AND (started < ? OR (started = ? AND id < ?))
       ORDER BY started DESC, id DESC LIMIT ?`,
      ...[lobby === null ? 1 : 0, lobby ?? '', at, at, before?.id ?? '', limit],
    );
    return rows.toArray().map((row) => this.#entryOf(row));
  }

  /** The newest one of each of these lobbies that has any. */
  newestOf(lobbies: readonly LobbyId[]): RecordEntry[] {
    const rows = this.#sql.exec(
      `SELECT (SELECT entry FROM records WHERE lobby = wanted.value ORDER BY started DESC, id DESC LIMIT 1) AS entry
       FROM json_each(?) AS wanted`,
      JSON.stringify(lobbies),
    );
    return rows
      .toArray()
      .filter(({ entry }) => entry !== null)
      .map((row) => this.#entryOf(row));
  }

  /** Those that are not over: some are being made right now, some have failed half-way to the store. */
  active(): RecordEntry[] {
    return this.#sql
      .exec(
        `SELECT entry FROM records WHERE state NOT IN ('ready', 'failed')
         UNION ALL SELECT entry FROM records WHERE ${HALF_SENT}`,
      )
      .toArray()
      .map((row) => this.#entryOf(row));
  }

  /** Over since before `until` (Unix ms), at most `limit`; of those that are in a store, only those in one of `stores`. */
  endedBefore(until: number, stores: readonly Upload['via'][], limit: number): RecordEntry[] {
    const place = `COALESCE(json_extract(entry, '$.stored.via'), json_extract(entry, '$.upload.via'),
                            json_extract(entry, '$.opening.via'))`;
    return this.#sql
      .exec(
        `SELECT entry FROM records WHERE ended IS NOT NULL AND ended <= ?
         AND (${place} IS NULL OR ${place} IN (SELECT value FROM json_each(?))) ORDER BY ended LIMIT ?`,
        ...[until, JSON.stringify(stores), limit],
      )
      .toArray()
      .map((row) => this.#entryOf(row));
  }

  /** Unix ms of the earliest end, and of the earliest last word of what is not over. */
  earliest(): { ended: number | null; updated: number | null } {
    const row = this.#sql
      .exec(
        `SELECT (SELECT MIN(ended) FROM records WHERE ended IS NOT NULL) AS ended,
                (SELECT MIN(updated) FROM (
                   SELECT MIN(updated) AS updated FROM records WHERE state NOT IN ('ready', 'failed')
                   UNION ALL SELECT MIN(updated) FROM records WHERE ${HALF_SENT})) AS updated`,
      )
      .one();
    const number = (value: SqlStorageValue | undefined) => (typeof value === 'number' ? value : null);
    return { ended: number(row.ended), updated: number(row.updated) };
  }

  parts(id: RecordId): (PartReceipt & { bytes: number })[] {
    const rows = this.#sql.exec('SELECT part, etag, bytes FROM parts WHERE record = ? ORDER BY part', id).toArray();
    return rows.map(({ part, etag, bytes }) => ({ part: Number(part), etag: String(etag), bytes: Number(bytes) }));
  }

  putPart(id: RecordId, receipt: PartReceipt, bytes: number): void {
    this.#sql.exec(
      'INSERT OR REPLACE INTO parts (record, part, etag, bytes) VALUES (?, ?, ?, ?)',
      ...[id, receipt.part, receipt.etag, bytes],
    );
  }

  dropParts(id: RecordId): void {
    this.#sql.exec('DELETE FROM parts WHERE record = ?', id);
  }

  #one(query: string, value: string): RecordEntry | null {
    const [row] = this.#sql.exec(query, value).toArray();
    return row === undefined ? null : this.#entryOf(row);
  }

  #entryOf(row: Record<string, SqlStorageValue>): RecordEntry {
    const entry = entrySchema.parse(JSON.parse(String(row.entry)));
    return this.#fresh.get(entry.id)?.entry ?? entry;
  }
}
