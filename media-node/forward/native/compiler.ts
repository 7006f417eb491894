/**
 * Runs a compiler, which is several processes (a driver, the compiler proper, the assembler, the linker) and would go on
 * for half a minute after a node that was told to end. So it is a process group of its own, and ends with us.
 */
import { spawn } from 'node:child_process';
import { text } from 'node:stream/consumers';

/** They end a process that does not listen to them without an `exit` event. */
const ENDING_SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** The compiler ran and made nothing; `said` is the line that says why. */
export class CompilerError extends Error {
  constructor(program: string, said: string) {
    super(`${program} cannot build it: ${said}`);
    this.name = 'CompilerError';
  }
}

/**
 * Resolves when it has compiled; after `timeoutMs` it is ended.
 *
 * @throws {CompilerError} when it fails or takes too long
 * @throws the system's error (`code`: ENOENT, …) when there is no such program
 */
export async function runCompiler(program: string, args: readonly string[], timeoutMs: number): Promise<void> {
  let leader: number | undefined;
  const end = (): void => endGroup(leader);
  const onSignal = (signal: NodeJS.Signals): void => {
    end();
    // Whoever else listens decides what becomes of this process; without us nobody would, and it would have ended.
    if (process.listenerCount(signal) > 1) return;
    process.off(signal, onSignal);
    process.kill(process.pid, signal);
  };
  // Before there is anything to end: a signal that comes while it is being started has to find us.
  process.once('exit', end);
  for (const signal of ENDING_SIGNALS) process.on(signal, onSignal);
  let isLate = false;
  let timer: NodeJS.Timeout | undefined;
  try {
    const child = spawn(program, args, { stdio: ['ignore', 'ignore', 'pipe'], detached: true });
    leader = child.pid;
    const ended = Promise.withResolvers<number | null>();
    child.once('error', ended.reject);
    child.once('close', ended.resolve);
    timer = setTimeout(() => {
      isLate = true;
      end();
    }, timeoutMs);
    const [code, said] = await Promise.all([ended.promise, text(child.stderr)]);
    if (isLate) throw new CompilerError(program, `it took longer than ${timeoutMs / 1000} s`);
    if (code !== 0) throw new CompilerError(program, complaintIn(said));
  } finally {
    clearTimeout(timer);
    process.off('exit', end);
    for (const signal of ENDING_SIGNALS) process.off(signal, onSignal);
  }
}

function complaintIn(said: string): string {
  const lines = said.split('\n');
  return lines.find((line) => line.includes('error')) ?? lines[0] ?? '';
}

function endGroup(leader: number | undefined): void {
  if (leader === undefined) return;
  try {
    process.kill(-leader, 'SIGKILL');
  } catch {
    // It has ended by itself.
  }
}
