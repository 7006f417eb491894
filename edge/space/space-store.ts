/**
 * The streams of one space in its database. The tables come with the first stream and go with the last: a space without
 * streams, or one that was only asked about, leaves nothing in storage.
 */
import type { StreamId } from '../../shared/ids.ts';
import type { StreamInfo } from './rpc.ts';
import { infoOfRow } from './stream-info.ts';

const VERSION_KEY = 'version';
const VERSION = 1;

const TABLES = [
  'CREATE TABLE streams (uuid TEXT PRIMARY KEY, title TEXT NOT NULL, owner TEXT NOT NULL, guests TEXT NOT NULL)',
  // Owner and guests of every stream, to find a person's streams.
  'CREATE TABLE members (name TEXT NOT NULL, stream TEXT NOT NULL, PRIMARY KEY (name, stream)) WITHOUT ROWID',
  'CREATE INDEX members_of_stream ON members (stream)',
];
const COLUMNS = 'uuid, title, owner, guests';

export class SpaceStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;
  /** Of what is in storage; undefined: nothing is. */
  #version: unknown;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#version = storage.kv.get(VERSION_KEY);
  }

  get(stream: StreamId): StreamInfo | null {
    if (!this.#hasTables()) return null;
    const [row] = this.#sql.exec(`SELECT ${COLUMNS} FROM streams WHERE uuid = ?`, stream).toArray();
    return row === undefined ? null : infoOfRow(row);
  }

  put(stream: StreamInfo): void {
    const { uuid, title, owner, guests } = stream;
    const hasTables = this.#hasTables();
    this.#storage.transactionSync(() => {
      if (!hasTables) {
        for (const table of TABLES) this.#sql.exec(table);
        this.#storage.kv.put(VERSION_KEY, VERSION);
      }
      const values = [uuid, title, owner, JSON.stringify(guests)];
      this.#sql.exec(`INSERT OR REPLACE INTO streams (${COLUMNS}) VALUES (?, ?, ?, ?)`, ...values);
      this.#sql.exec('DELETE FROM members WHERE stream = ?', uuid);
      // As JSON, because a statement takes a limited number of values.
      const members = JSON.stringify([owner, ...guests]);
      this.#sql.exec('INSERT INTO members (name, stream) SELECT value, ? FROM json_each(?)', uuid, members);
    });
    this.#version = VERSION;
  }

  delete(stream: StreamId): void {
    if (!this.#hasTables()) return;
    this.#storage.transactionSync(() => {
      this.#sql.exec('DELETE FROM streams WHERE uuid = ?', stream);
      this.#sql.exec('DELETE FROM members WHERE stream = ?', stream);
    });
    if (this.#sql.exec('SELECT 1 FROM streams LIMIT 1').toArray().length > 0) return;
    this.#version = undefined;
    this.#storage.deleteAll();
  }

  /** At most `limit` streams in order of their UUIDs, behind `after`; `member` null: everybody's. */
  list(input: { member: readonly string[] | null; after: StreamId | null; limit: number }): StreamInfo[] {
    if (!this.#hasTables()) return [];
    const { member, after, limit } = input;
    const names = JSON.stringify(member ?? []);
    const rows = this.#sql.exec(
      `SELECT ${COLUMNS} FROM streams
       WHERE uuid > ?
         AND (? OR uuid IN (SELECT stream FROM members WHERE name IN (SELECT value FROM json_each(?))))
       ORDER BY uuid LIMIT ?`,
      after ?? '',
      member === null ? 1 : 0,
      names,
      limit,
    );
    return rows.toArray().map(infoOfRow);
  }

  /** Throws when another version of ours has written what is there. */
  #hasTables(): boolean {
    if (this.#version === undefined) return false;
    if (this.#version === VERSION) return true;
    throw new Error(`the streams of this space were written by another version (${String(this.#version)})`);
  }
}
