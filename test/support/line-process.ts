/** A child process that says what happens to it in JSON lines on its standard output. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

export const PROJECT_ROOT = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');

const KEPT_LOG_LINES = 200;

export interface LineEvent {
  event: string;
  [key: string]: unknown;
}

export interface LineProcessOptions {
  /** Script first; run by this very node. */
  script: readonly string[];
  env?: Readonly<Record<string, string | undefined>>;
}

export class LineProcess {
  readonly #child: ChildProcess;
  readonly #events: LineEvent[] = [];
  readonly #waiting = new Set<() => void>();
  readonly #log: string[] = [];
  readonly #ended: Promise<void>;
  #outcome: string | null = null;

  constructor(options: LineProcessOptions) {
    this.#child = spawn(process.execPath, [...options.script], {
      cwd: PROJECT_ROOT,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child.stdin?.on('error', () => undefined);
    if (this.#child.stdout !== null) {
      createInterface({ input: this.#child.stdout }).on('line', (line) => this.#read(line));
    }
    if (this.#child.stderr !== null) {
      createInterface({ input: this.#child.stderr }).on('line', (line) => this.#keep(line));
    }
    this.#ended = new Promise((resolve) => {
      const end = (outcome: string): void => {
        this.#outcome ??= outcome;
        this.#wake();
        resolve();
      };
      this.#child.once('error', (error) => end(error.message));
      this.#child.once('close', (code, signal) => end(signal ?? `exit code ${code}`));
    });
  }

  get pid(): number {
    if (this.#child.pid === undefined) throw new Error('the process did not start');
    return this.#child.pid;
  }

  /** How it ended (`SIGKILL`, `exit code 1`), or null while it runs. */
  get outcome(): string | null {
    return this.#outcome;
  }

  /** Everything that is not an event, from both of its streams; the last lines of it. */
  get log(): string {
    return this.#log.join('\n');
  }

  /** All events so far, in order. */
  get events(): readonly LineEvent[] {
    return this.#events;
  }

  /**
   * The first event of that name among those from index `from` on. Throws with the process's log when it does not come in
   * time or the process ends.
   */
  async event(name: string, deadlineMs: number, from = 0): Promise<LineEvent> {
    const deadline = performance.now() + deadlineMs;
    for (;;) {
      const found = this.#events.slice(from).find((event) => event.event === name);
      if (found !== undefined) return found;
      const leftMs = deadline - performance.now();
      if (this.#outcome !== null || leftMs <= 0) {
        const why = this.#outcome ?? `not within ${deadlineMs} ms`;
        throw new Error(`no "${name}" from ${this.#child.spawnargs.slice(1).join(' ')} (${why}):\n${this.log}`);
      }
      await this.#change(leftMs);
    }
  }

  /** One line to its standard input. */
  send(line: string): void {
    this.#child.stdin?.write(`${line}\n`);
  }

  signal(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Sends the signal, and SIGKILL when it is not gone in time; resolves when it is gone. */
  async end(signal: NodeJS.Signals = 'SIGTERM', graceMs = 8_000): Promise<void> {
    if (this.#outcome !== null) return;
    this.#child.kill(signal);
    const kill = setTimeout(() => this.#child.kill('SIGKILL'), graceMs);
    await this.#ended;
    clearTimeout(kill);
  }

  /** Resolves when the process is gone. */
  whenEnded(): Promise<void> {
    return this.#ended;
  }

  async #change(withinMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, withinMs);
    this.#waiting.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(resolve);
  }

  #read(line: string): void {
    const event = parseEvent(line);
    if (event === null) this.#keep(line);
    else this.#events.push(event);
    this.#wake();
  }

  #keep(line: string): void {
    this.#log.push(line);
    if (this.#log.length > KEPT_LOG_LINES) this.#log.shift();
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve();
  }
}

function parseEvent(line: string): LineEvent | null {
  if (!line.startsWith('{')) return null;
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null && 'event' in value ? (value as LineEvent) : null;
  } catch {
    return null;
  }
}
