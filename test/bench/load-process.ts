/** Clients in processes of their own, so that their work is not counted as the server's. */
import { z } from 'zod';
import type { GroupOptions } from '../load/viewer-group.ts';
import { LineProcess } from '../support/line-process.ts';

const START_DEADLINE_MS = 60_000;
/** On top of the time that the joins should take. */
const JOIN_GRACE_MS = 60_000;
const MS_PER_S = 1_000;
const JOINS_PER_SECOND = 50;

export const patternSchema = z.object({
  video: z.boolean().default(true),
  audio: z.boolean().default(true),
  /** Sound included. */
  packetsPerSecond: z.number().default(355),
  videoBps: z.number().default(2_480_000),
  answersPli: z.boolean().default(true),
  /** Of so many publishers; those after the first one take `-1`, `-2` and so on behind the URL. */
  rooms: z.int().positive().default(1),
});
export type Pattern = z.input<typeof patternSchema>;

/** 355 packets/s and 2.6 Mb/s: what the goals were measured with. */
export const COMMON: Pattern = {};
/** Of LiveKit's published benchmark: 187 packets/s and 1.4 Mb/s for each viewer. */
export const LIVEKIT: Pattern = { audio: false, packetsPerSecond: 187, videoBps: 1_390_000 };
/** Ignores PLI, as OBS and FFmpeg do. */
export const STUBBORN: Pattern = { answersPli: false };
/** Sound only: 50 packets/s. */
export const QUIET: Pattern = { video: false };

const sentSchema = z.object({ atMs: z.number(), packets: z.number(), bytes: z.number() });
export type SentCount = z.infer<typeof sentSchema>;

const seenSchema = z.object({
  atMs: z.number(),
  packets: z.number(),
  bytes: z.number(),
  packetsOfViewers: z.array(z.number()),
  connected: z.number(),
  failed: z.number(),
  ended: z.number(),
  failures: z.record(z.string(), z.number()),
  expected: z.number(),
  missing: z.number(),
  duplicates: z.number(),
  overflowed: z.number(),
  feedback: z.number(),
  rtcp: z.number(),
  generatorCpuS: z.number(),
  receiverCpuS: z.number(),
  native: z.boolean(),
  joinP50Ms: z.number().nullable(),
  joinP99Ms: z.number().nullable(),
});
export type SeenCount = z.infer<typeof seenSchema>;

abstract class LoadProcess implements AsyncDisposable {
  readonly process: LineProcess;

  constructor(process: LineProcess) {
    this.process = process;
  }

  get pid(): number {
    return this.process.pid;
  }

  protected async ask(line: string, answer: string, deadlineMs: number): Promise<unknown> {
    const from = this.process.events.length;
    this.process.send(line);
    return await this.process.event(answer, deadlineMs, from);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.process.end();
  }
}

export class PublisherProcess extends LoadProcess {
  static async start(url: string, pattern: Pattern = COMMON): Promise<PublisherProcess> {
    return new PublisherProcess(await started(['test/bench/load/publish.ts', url, JSON.stringify(pattern)]));
  }

  async count(): Promise<SentCount> {
    return sentSchema.parse(await this.ask('count', 'count', START_DEADLINE_MS));
  }
}

export class ViewersProcess extends LoadProcess {
  static async start(url: string, options: Partial<GroupOptions> = {}): Promise<ViewersProcess> {
    return new ViewersProcess(await started(['test/bench/load/watch.ts', url, JSON.stringify(options)]));
  }

  /** Opens that many more; resolves when each has connected or failed. */
  async add(count: number, joinsPerSecond = JOINS_PER_SECOND): Promise<void> {
    if (count <= 0) return;
    const deadlineMs = (count * MS_PER_S) / joinsPerSecond + JOIN_GRACE_MS;
    await this.ask(`add ${count} ${joinsPerSecond}`, 'added', deadlineMs);
  }

  /** That many leave. */
  async remove(count: number): Promise<void> {
    if (count > 0) await this.ask(`remove ${count}`, 'removed', JOIN_GRACE_MS);
  }

  async count(): Promise<SeenCount> {
    return seenSchema.parse(await this.ask('count', 'count', START_DEADLINE_MS));
  }
}

async function started(script: readonly string[]): Promise<LineProcess> {
  const process = new LineProcess({ script });
  try {
    await process.event('ready', START_DEADLINE_MS);
    return process;
  } catch (error) {
    await process.end('SIGKILL');
    throw error;
  }
}
