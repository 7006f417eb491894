/**
 * Who runs on a state directory: `run.json` there names the launcher and its children. It keeps two edges off the same
 * databases, and lets a start clear away what a crash left behind (a workerd without its launcher still holds the port).
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { z } from 'zod';

const processSchema = z.object({
  pid: z.int().positive(),
  /** Part of its command line: process ids are used again, so the id alone proves nothing. */
  command: z.string().min(1),
});
const recordSchema = z.object({ launcher: processSchema, children: z.array(processSchema) });
export type RecordedProcess = z.infer<typeof processSchema>;

const RECORD_FILE = 'run.json';
const KILL_DEADLINE_MS = 3_000;
const KILL_POLL_MS = 20;

export class RunRecord {
  readonly #path: string;
  readonly #launcher: RecordedProcess;
  readonly #children = new Map<number, RecordedProcess>();

  private constructor(path: string, launcher: RecordedProcess) {
    this.#path = path;
    this.#launcher = launcher;
  }

  /**
   * Takes the state directory. Kills what an earlier launcher left running (`onStale` is told about each).
   * Throws when an earlier launcher is still alive.
   * @param command part of this process's command line by which a later start knows it again
   */
  static async take(
    stateDirectory: string,
    command: string,
    onStale: (left: RecordedProcess) => void,
  ): Promise<RunRecord> {
    mkdirSync(stateDirectory, { recursive: true });
    const path = join(stateDirectory, RECORD_FILE);
    const earlier = readRecord(path);
    if (earlier !== null) {
      // In a container the ids start over, so the record may name ourselves.
      if (earlier.launcher.pid !== process.pid && isRunning(earlier.launcher)) {
        throw new Error(
          `Vestibule already runs on ${stateDirectory} (process ${earlier.launcher.pid}). Stop it, or set VESTIBULE_STATE to another directory.`,
        );
      }
      for (const child of earlier.children) {
        if (!isRunning(child)) continue;
        onStale(child);
        await kill(child);
      }
    }
    const record = new RunRecord(path, { pid: process.pid, command });
    record.#write();
    return record;
  }

  add(child: RecordedProcess): void {
    this.#children.set(child.pid, child);
    this.#write();
  }

  remove(pid: number): void {
    if (this.#children.delete(pid)) this.#write();
  }

  /** Gives the state directory back. */
  release(): void {
    rmSync(this.#path, { force: true });
  }

  #write(): void {
    writeFileSync(
      this.#path,
      `${JSON.stringify({ launcher: this.#launcher, children: [...this.#children.values()] })}\n`,
    );
  }
}

function readRecord(path: string): z.infer<typeof recordSchema> | null {
  try {
    return recordSchema.safeParse(JSON.parse(readFileSync(path, 'utf8'))).data ?? null;
  } catch {
    return null;
  }
}

function isRunning(recorded: RecordedProcess): boolean {
  try {
    process.kill(recorded.pid, 0);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'EPERM')) return false;
  }
  return commandLine(recorded.pid).includes(recorded.command);
}

/** Empty when the process is gone or a zombie. */
function commandLine(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    if (process.platform === 'linux') return '';
    return spawnSync('ps', ['-p', String(pid), '-o', 'command='], { encoding: 'utf8' }).stdout ?? '';
  }
}

async function kill(recorded: RecordedProcess): Promise<void> {
  process.kill(recorded.pid, 'SIGKILL');
  const deadline = Date.now() + KILL_DEADLINE_MS;
  while (isRunning(recorded) && Date.now() < deadline) await delay(KILL_POLL_MS);
}
