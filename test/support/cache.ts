/** Things that are made once and kept in node_modules/.cache: several test processes may want them at the same moment. */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { PROJECT_ROOT } from './line-process.ts';

const CACHE = join(PROJECT_ROOT, 'node_modules/.cache/vestibule');

/**
 * The path of the cached thing. When it is not there, `make` writes it (a file or a directory) to the draft path it is
 * given; whoever finishes first wins.
 */
export async function cached(name: string, make: (draft: string) => Promise<void>): Promise<string> {
  const path = join(CACHE, name);
  if (existsSync(path)) return path;
  const draft = join(CACHE, `draft-${process.pid}-${name}`);
  await mkdir(dirname(draft), { recursive: true });
  try {
    await make(draft);
    await rename(draft, path).catch((error: unknown) => {
      if (!existsSync(path)) throw error;
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return path;
}
