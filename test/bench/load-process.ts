/** Clients in processes of their own, so that their work is not counted as the server's. */
import { z } from 'zod';
import { LineProcess } from '../support/line-process.ts';

const START_DEADLINE_MS = 20_000;
const JOIN_DEADLINE_MS = 60_000;

const countSchema = z.object({
  atMs: z.number(),
  packets: z.number(),
  missing: z.number().default(0),
  bytes: z.number().default(0),
});
export type Count = z.infer<typeof countSchema>;

export type Pattern = 'bench' | 'stubborn' | 'quiet';

export class LoadProcess implements AsyncDisposable {
  readonly #process: LineProcess;

  private constructor(process: LineProcess) {
    this.#process = process;
  }

  static publisher(url: string, pattern: Pattern): Promise<LoadProcess> {
    return LoadProcess.#start(['test/bench/load/publish.ts', url, pattern]);
  }

  static viewers(url: string): Promise<LoadProcess> {
    return LoadProcess.#start(['test/bench/load/watch.ts', url]);
  }

  static async #start(script: readonly string[]): Promise<LoadProcess> {
    const process = new LineProcess({ script });
    try {
      await process.event('ready', START_DEADLINE_MS);
      return new LoadProcess(process);
    } catch (error) {
      await process.end('SIGKILL');
      throw error;
    }
  }

  get pid(): number {
    return this.#process.pid;
  }

  /** Opens that many more viewers. */
  async add(count: number): Promise<void> {
    const from = this.#process.events.length;
    this.#process.send(`add ${count}`);
    await this.#process.event('added', JOIN_DEADLINE_MS, from);
  }

  /** The next count that it tells; one comes every 250 ms. */
  async nextCount(): Promise<Count> {
    const from = this.#process.events.length;
    return countSchema.parse(await this.#process.event('count', START_DEADLINE_MS, from));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#process.end();
  }
}
