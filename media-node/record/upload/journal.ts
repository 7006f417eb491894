/** What is known of a file, beside it on the disk: enough to finish and upload it after any end of the process. */
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { partReceiptSchema, recordBeginSchema, recordStateSchema } from '../../../shared/protocol/records.ts';
import { syncFolder } from '../sync-folder.ts';

const journalSchema = z.object({
  version: z.literal(1),
  begin: recordBeginSchema,
  state: recordStateSchema,
  bytes: z.int().nonnegative(),
  durationMs: z.number().nonnegative(),
  error: z.string().nullable(),
  /** The edge knows of the file. */
  begun: z.boolean(),
  /** Parts that the store has. */
  parts: z.array(partReceiptSchema),
  /** See `RecordFile.forsaken`. */
  forsaken: z.boolean().default(false),
});
export type Journal = z.infer<typeof journalSchema>;

const SUFFIX = '.json';
const DRAFT_SUFFIX = '.new';

export function journalPath(folder: string, name: string): string {
  return join(folder, `${name}${SUFFIX}`);
}

/** Replaces the journal in one step: after a crash or a power cut it is the old one or the new one. */
export async function writeJournal(folder: string, journal: Journal): Promise<void> {
  const path = journalPath(folder, journal.begin.name);
  const draft = `${path}${DRAFT_SUFFIX}`;
  const file = await open(draft, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(journal));
    await file.datasync();
  } finally {
    await file.close();
  }
  await rename(draft, path);
  await syncFolder(folder);
}

export async function removeJournal(folder: string, name: string): Promise<void> {
  await rm(journalPath(folder, name), { force: true });
}

/** All journals of a folder, oldest first; what cannot be read is told and left alone. */
export async function readJournals(folder: string, log: (message: string) => void): Promise<Journal[]> {
  const found: Journal[] = [];
  for (const entry of await readdir(folder)) {
    // The process ended while it replaced a journal.
    if (entry.endsWith(`${SUFFIX}${DRAFT_SUFFIX}`)) await rm(join(folder, entry), { force: true });
    if (!entry.endsWith(SUFFIX)) continue;
    try {
      const journal = journalSchema.parse(JSON.parse(await readFile(join(folder, entry), 'utf8')));
      // The name leads to a file that may be deleted: only the one beside the journal.
      if (`${journal.begin.name}${SUFFIX}` === entry) found.push(journal);
      else log(`${entry} in ${folder} names another file; it is left alone`);
    } catch (error) {
      log(`${entry} in ${folder} cannot be read (${error instanceof Error ? error.message : error}); it is left alone`);
    }
  }
  return found.sort((a, b) => a.begin.startedAt - b.begin.startedAt);
}
