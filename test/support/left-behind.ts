/** What a system still holds when everybody has gone. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { z } from 'zod';
import type { Vestibule } from './start-vestibule.ts';

const nodesSchema = z.array(z.object({ load: z.object({ sessions: z.number() }) }));

/** Sessions that the media nodes say they carry. */
export async function carriedSessions(vestibule: Vestibule, adminToken: string): Promise<number> {
  const response = await fetch(`${vestibule.url}/api/admin/nodes`, {
    headers: { authorization: `Bearer ${adminToken}` },
  });
  return nodesSchema.parse(await response.json()).reduce((sum, { load }) => sum + load.sessions, 0);
}

/** Rows of all tables of all Durable Objects. Throws when there is no database at all. */
export async function storedRows(vestibule: Vestibule): Promise<number> {
  const paths = await readdir(vestibule.stateDirectory, { recursive: true });
  const databases = paths.filter((path) => path.endsWith('.sqlite'));
  if (databases.length === 0) throw new Error(`no database in ${vestibule.stateDirectory}`);
  return databases.reduce((sum, path) => {
    const database = new DatabaseSync(join(vestibule.stateDirectory, path), { readOnly: true });
    const tables = database.prepare("SELECT name FROM sqlite_master WHERE type = 'table'").all();
    const rows = tables.map(({ name }) => Number(database.prepare(`SELECT count(*) AS n FROM "${name}"`).get()?.n));
    database.close();
    return sum + rows.reduce((total, count) => total + count, 0);
  }, 0);
}
