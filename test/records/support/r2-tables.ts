/** What the local R2 of workerd holds, as its own database says. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

const IN_PROGRESS = 0;

export interface StoredInR2 {
  objects: string[];
  /**
   * Keys of multipart uploads with something in them that were neither completed nor aborted. An empty one may be left by an
   * edge that was killed between the bucket's answer and its own note of it.
   */
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
      const holdsSomething = 'upload_id IN (SELECT upload_id FROM _mf_multipart_parts)';
      const open = column(`SELECT key FROM _mf_multipart_uploads WHERE state = ${IN_PROGRESS} AND ${holdsSomething}`);
      found.openUploads.push(...open);
      found.orphanParts += Number(column('SELECT COUNT(*) FROM _mf_multipart_parts WHERE object_key IS NULL')[0]);
    }
    database.close();
  }
  return found;
}
