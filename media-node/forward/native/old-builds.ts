/** Tidies up after new sources or another Node: builds of the addon that nobody has used for longest. */
import { readdir, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Besides the newest one: processes of other versions, or in other containers, may share the directory, and would take
 * turns to compile if each removed what the others need.
 */
const KEPT_BUILDS = 4;
/** What a build that was killed has left behind is older than any compiler runs. */
const ABANDONED_MS = 10 * 60_000;

/** Remembers that the build is in use; a directory that is not ours to write to is tidied up by its owner. */
export async function noteUse(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => undefined);
}

/**
 * Removes the builds of this `kind` in `cache` but for `keep` and those that were used last. A process that has loaded one
 * of the others keeps it. Not being able to is no error.
 */
export async function removeOldBuilds(cache: string, kind: string, keep: string): Promise<void> {
  const build = new RegExp(`^${kind}-[0-9a-f]{16}\\.node$`);
  const unfinished = new RegExp(`^${kind}-[0-9a-f]{16}\\.node\\..+$`);
  try {
    const names = await readdir(cache);
    const old = await withAges(cache, (name) => build.test(name) && name !== keep, names);
    for (const { name } of old.slice(KEPT_BUILDS)) await rm(join(cache, name), { force: true });
    for (const { name, ageMs } of await withAges(cache, (candidate) => unfinished.test(candidate), names)) {
      if (ageMs > ABANDONED_MS) await rm(join(cache, name), { force: true });
    }
  } catch {
    // Somebody else tidied up, or the directory is not ours: the next build tries again.
  }
}

/** Those files, the one that was used last first. */
async function withAges(
  cache: string,
  isMeant: (name: string) => boolean,
  names: readonly string[],
): Promise<{ name: string; ageMs: number }[]> {
  const nowMs = Date.now();
  const aged = names.filter(isMeant).map(async (name) => {
    const { mtimeMs } = await stat(join(cache, name));
    return { name, ageMs: nowMs - mtimeMs };
  });
  return (await Promise.all(aged)).toSorted((a, b) => a.ageMs - b.ageMs);
}
