/** The catalogue in its database: one row per recording, and the receipts of the parts that came through the edge. */
import { z } from 'zod';
import type { LobbyId } from '../../shared/ids.ts';
import { lobbyIdSchema, nodeIdSchema, sessionIdSchema } from '../../shared/ids.ts';
import { type PartReceipt, type RecordId, recordIdSchema, recordStateSchema } from '../../shared/protocol/records.ts';
import type { RecordEntry } from './record.ts';

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

/** Failed, with parts in the store that its node may still go on with. */
const HALF_SENT = `state = 'failed' AND json_extract(entry, '$.upload') IS NOT NULL`;
/** Came later than the tables. */
const HALF_SENT_INDEX = `CREATE INDEX IF NOT EXISTS records_half_sent ON records (updated) WHERE ${HALF_SENT}`;

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
  stored: z.object({ via, key: z.string() }).nullable(),
}) satisfies z.ZodType<RecordEntry>;

/** Where a page of the list ended. */
export interface Cursor {
  startedAt: number;
  id: string;
}

export class RecordsStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

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

  put(entry: RecordEntry): void {
    const { id, name, lobby, state, startedAt, updatedAt, endedAt } = entry;
    this.#sql.exec(
      'INSERT OR REPLACE INTO records (id, name, lobby, state, started, updated, ended, entry) VALUES (?, ?, ?, ?, ?, ?, ?, ?)',
      ...[id, name, lobby, state, startedAt, updatedAt, endedAt, JSON.stringify(entry)],
    );
  }

  delete(id: RecordId): void {
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
    return rows.toArray().map(entryOf);
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
      .map(entryOf);
  }

  /** Those that are not over: some are being made right now, some have failed half-way to the store. */
  active(): RecordEntry[] {
    return this.#sql
      .exec(
        `SELECT entry FROM records WHERE state NOT IN ('ready', 'failed')
         UNION ALL SELECT entry FROM records WHERE ${HALF_SENT}`,
      )
      .toArray()
      .map(entryOf);
  }

  /** Over since before `until` (Unix ms), at most `limit`. */
  endedBefore(until: number, limit: number): RecordEntry[] {
    return this.#sql
      .exec('SELECT entry FROM records WHERE ended IS NOT NULL AND ended <= ? ORDER BY ended LIMIT ?', until, limit)
      .toArray()
      .map(entryOf);
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
    return row === undefined ? null : entryOf(row);
  }
}

function entryOf(row: Record<string, SqlStorageValue>): RecordEntry {
  return entrySchema.parse(JSON.parse(String(row.entry)));
}
