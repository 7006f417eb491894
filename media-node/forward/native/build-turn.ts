/** One process builds, the others wait for it: workers, and tests, start at the same time. */
import { existsSync } from 'node:fs';
import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';

const LOOK_AGAIN_MS = 50;

export interface Build {
  /** Who takes longer is taken for dead. */
  patienceMs: number;
  build(): Promise<void>;
  /** Called once, before waiting for another process that builds. */
  onWait(): void;
}

/**
 * Makes the file at `path` by `build`, or waits for another process that does.
 *
 * @throws what `build` throws; another process's failure leads to an own attempt
 */
export async function buildInTurn(path: string, { patienceMs, build, onWait }: Build): Promise<void> {
  const turn = `${path}.turn`;
  let waited = false;
  while (!existsSync(path)) {
    try {
      await writeFile(turn, String(process.pid), { flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      if (!waited) onWait();
      waited = true;
      await waitFor(turn, path, patienceMs);
      continue;
    }
    try {
      // Somebody may have finished between the look and the turn.
      if (!existsSync(path)) await build();
    } finally {
      await rm(turn, { force: true });
    }
  }
}

async function waitFor(turn: string, path: string, patienceMs: number): Promise<void> {
  while (!existsSync(path)) {
    const begun = await stat(turn).catch(() => null);
    if (begun === null) return;
    if (Date.now() - begun.mtimeMs > patienceMs || !(await isRunning(turn))) {
      await rm(turn, { force: true });
      return;
    }
    await delay(LOOK_AGAIN_MS);
  }
}

/** Whether the process whose turn it is lives; true when that cannot be told. */
async function isRunning(turn: string): Promise<boolean> {
  const pid = Number(await readFile(turn, 'utf8').catch(() => ''));
  if (!(pid > 0)) return true;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
