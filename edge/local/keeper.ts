/**
 * Ends our children when we cannot: a process that is killed with SIGKILL runs no handler, and workerd would live on and
 * hold the port. The keeper is a shell of its own session that reads the children's process ids from a pipe; the pipe
 * ends when we do, however that comes about, and the keeper then kills whom it was told about last.
 */
import { type ChildProcess, spawn } from 'node:child_process';

const KEEPER_SCRIPT = 'while read -r line; do pids=$line; done; [ -z "$pids" ] || kill -9 $pids 2>/dev/null';

export class Keeper {
  readonly #shell: ChildProcess;
  readonly #pids = new Set<number>();

  constructor() {
    this.#shell = spawn('/bin/sh', ['-c', KEEPER_SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    // Without a shell there is no keeper; everything else works the same.
    this.#shell.on('error', () => undefined);
    this.#shell.stdin?.on('error', () => undefined);
    this.#shell.unref();
  }

  /** The keeper's own process id. */
  get pid(): number | undefined {
    return this.#shell.pid;
  }

  /** Watches a child until it has ended by itself. */
  guard(child: ChildProcess): void {
    const { pid } = child;
    if (pid === undefined) return;
    this.#pids.add(pid);
    this.#tell();
    child.once('exit', () => {
      this.#pids.delete(pid);
      this.#tell();
    });
  }

  /** Kills every guarded child now. For the second Ctrl-C. */
  killAll(): void {
    for (const pid of this.#pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // Gone already.
      }
    }
  }

  close(): void {
    this.#shell.stdin?.end();
  }

  #tell(): void {
    this.#shell.stdin?.write(`${[...this.#pids].join(' ')}\n`);
  }
}
