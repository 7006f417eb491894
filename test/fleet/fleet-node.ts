/** One real media node as a process of its own, that may be killed, told to leave and started again. */
import { z } from 'zod';
import { LineProcess } from '../support/line-process.ts';
import type { Place } from './places.ts';

const READY_MS = 60_000;

const readySchema = z.object({
  node: z.string(),
  addresses: z.array(z.string()).min(1),
  engine: z.string(),
  status: z.string(),
});

export interface NodeOptions {
  id: string;
  place: Place;
  /** The one address that it binds and announces, such as `127.0.0.2`. */
  address: string;
  edgeUrl: string;
  token: string;
  recordDirectory: string;
  env?: Readonly<Record<string, string | undefined>>;
  /** In place of `media-node/main.ts`. */
  script?: string;
}

export class FleetNode {
  readonly id: string;
  readonly place: Place;
  readonly #options: NodeOptions;
  #process: LineProcess | null = null;
  #ready: z.infer<typeof readySchema> | null = null;

  constructor(options: NodeOptions) {
    this.id = options.id;
    this.place = options.place;
    this.#options = options;
  }

  /** Resolves when its port is open; `linked()` waits for the edge. */
  async start(): Promise<void> {
    const { id, place, address, edgeUrl, token, env, script = 'media-node/main.ts', recordDirectory } = this.#options;
    const started = new LineProcess({
      script: [script],
      env: {
        EDGE_URL: edgeUrl,
        NODE_TOKEN: token,
        NODE_ID: id,
        NODE_REGION: id,
        NODE_COORDINATES: `${place.latitude},${place.longitude}`,
        MEDIA_PORT: '0',
        MEDIA_ADDRESSES: address,
        NODE_STATUS_PORT: '0',
        NODE_WORKERS: '',
        RECORD_DIR: recordDirectory,
        ...env,
      },
    });
    this.#process = started;
    this.#ready = readySchema.parse(await started.event('ready', READY_MS));
  }

  async linked(): Promise<void> {
    await this.process.event('linked', READY_MS);
  }

  get process(): LineProcess {
    if (this.#process === null) throw new Error(`node ${this.id} has not been started`);
    return this.#process;
  }

  /** `host:port` of its media port. */
  get address(): string {
    return this.#said.addresses[0] ?? '';
  }

  get engine(): string {
    return this.#said.engine;
  }

  /** What it has told people. */
  get log(): string {
    return this.process.log;
  }

  /** What `/metrics` says, by name without prefix. */
  async metrics(): Promise<Record<string, number>> {
    const text = await (await fetch(`http://${this.#said.status}/metrics`)).text();
    const values: Record<string, number> = {};
    for (const [, name, value] of text.matchAll(/^vestibule_node_(\w+)\{node="[^"]*"\} (\S+)$/gm)) {
      if (name !== undefined) values[name] = Number(value);
    }
    return values;
  }

  /** Resolves when the process is gone. Nobody hears a goodbye. */
  async kill(): Promise<void> {
    await this.process.end('SIGKILL');
  }

  /** It may take its time to leave: `process.whenEnded()`. */
  terminate(): void {
    this.process.signal('SIGTERM');
  }

  /** Idempotent, also when it was never started. */
  async close(): Promise<void> {
    await this.#process?.end('SIGKILL');
  }

  get #said(): z.infer<typeof readySchema> {
    if (this.#ready === null) throw new Error(`node ${this.id} is not ready`);
    return this.#ready;
  }
}
