/** What the local R2 of workerd holds, as its own database says. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const IN_PROGRESS = 0;

export interface StoredInR2 {
  objects: string[];
  /** Keys of multipart uploads that were neither completed nor aborted. */
  openUploads: string[];
  /** Parts that belong to no object. */
  orphanParts: number;
}

/** The system must have ended. */
export async function readR2(stateDirectory: string): Promise<StoredInR2> {
  const found: StoredInR2 = { objects: [], openUploads: [], orphanParts: 0 };
  for (const path of await readdir(stateDirectory, { recursive: true })) {
    if (!/R2Bucket.*\.sqlite$/.test(path)) continue;
    const database = new DatabaseSync(join(stateDirectory, path));
    const has = database.prepare("SELECT 1 FROM sqlite_master WHERE name = '_mf_multipart_uploads'").get();
    if (has !== undefined) {
      const column = (query: string): string[] =>
        database
          .prepare(query)
          .all()
          .map((row) => String(Object.values(row)[0]));
      found.objects.push(...column('SELECT key FROM _mf_objects'));
      found.openUploads.push(...column(`SELECT key FROM _mf_multipart_uploads WHERE state = ${IN_PROGRESS}`));
      found.orphanParts += Number(column('SELECT COUNT(*) FROM _mf_multipart_parts WHERE object_key IS NULL')[0]);
    }
    database.close();
  }
  return found;
}
