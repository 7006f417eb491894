/** Tidies up after new sources or another Node: builds of the addon that nobody uses any more. */
import { readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** What a build that was killed has left behind is older than any compiler runs. */
const ABANDONED_MS = 10 * 60_000;

/**
 * Removes the builds of this `kind` in `cache` but for `keep`, and none that a process of this machine has loaded. Not
 * being able to is no error.
 */
export async function removeOldBuilds(cache: string, kind: string, keep: string): Promise<void> {
  const build = new RegExp(`^${kind}-[0-9a-f]{16}\\.node$`);
  const unfinished = new RegExp(`^${kind}-[0-9a-f]{16}\\.node\\..+$`);
  try {
    const names = await readdir(cache);
    const old = names.filter((name) => build.test(name) && name !== keep);
    const used = old.length === 0 ? '' : await loadedFiles(cache);
    for (const name of old) if (!used.includes(name)) await rm(join(cache, name), { force: true });
    for (const name of names.filter((candidate) => unfinished.test(candidate))) {
      const { mtimeMs } = await stat(join(cache, name));
      if (Date.now() - mtimeMs > ABANDONED_MS) await rm(join(cache, name), { force: true });
    }
  } catch {
    // Somebody else tidied up, or the directory is not ours: the next build tries again.
  }
}

/** Lines of the memory maps of all processes that can be read which name a file below `directory`. */
async function loadedFiles(directory: string): Promise<string> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const maps = await Promise.all(processes.map((id) => readFile(`/proc/${id}/maps`, 'utf8').catch(() => '')));
  return maps
    .flatMap((map) => map.split('\n'))
    .filter((line) => line.includes(directory))
    .join('\n');
}
