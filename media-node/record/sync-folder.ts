import { open } from 'node:fs/promises';

/** After a power cut the folder knows the names that it knows now: a file's own sync does not do that. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
