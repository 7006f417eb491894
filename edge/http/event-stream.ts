/**
 * A `text/event-stream` for one player. The Worker itself asks the player's node for news every few seconds: no Durable
 * Object holds the stream, so none is kept awake between two questions, and whoever opens none costs nothing.
 */
import { type Outcome, unwrap } from '../../shared/errors.ts';
import type { LobbyId } from '../../shared/ids.ts';
import type { NodeResult } from '../../shared/protocol/control.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import type { AppContext } from '../middleware/context.ts';

export const EVENT_STREAM_TYPE = 'text/event-stream';
const READ_INTERVAL_MS = 2_000;
/** A comment this often shows proxies that the stream lives, and us that nobody reads it any more. */
const KEEP_ALIVE_MS = 14_000;
/** Each read is a subrequest, of which one request may make 50; the reader comes back by itself. */
const MAX_READS = 40;
/** Told to the reader: how long to wait before it comes back. */
const RETRY_MS = 1_000;
/** Viewers are counted by the fleet; it is asked once in this time, for all streams of an isolate. */
const COUNT_LIFE_MS = 10_000;
const MAX_COUNTS = 1_000;

type News = NodeResult<'read-events'>;

/** @throws ProblemError when the first read is refused: 404 `no_session`, `no_stream` */
export async function eventStream(c: AppContext, read: () => Promise<Outcome<News>>): Promise<Response> {
  const first = unwrap(await read());
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  void relay(c.env, new EventWriter(writable.getWriter()), first, read);
  return new Response(readable, {
    headers: { 'Content-Type': EVENT_STREAM_TYPE, 'Cache-Control': 'no-store, no-transform' },
  });
}

async function relay(env: Env, writer: EventWriter, first: News, read: () => Promise<Outcome<News>>): Promise<void> {
  try {
    await writer.write(`retry: ${RETRY_MS}\n\n`);
    let news: News | null = first;
    let told = -1;
    for (let reads = 1; !writer.closed; reads++) {
      for (const { event, data } of news?.messages ?? []) await writer.message(event, data);
      if (news !== null && news.viewersOf !== null) {
        const viewercount = await viewersOf(env, news.viewersOf);
        if (viewercount !== told) await writer.message('viewercount', JSON.stringify({ viewercount }));
        told = viewercount;
      }
      // What a read brings counts as told at the node: none is made whose news nobody would get.
      if (reads === MAX_READS) return;
      await writer.rest();
      await writer.pause(READ_INTERVAL_MS);
      if (writer.closed) return;
      const outcome = await read();
      // A node that is away for a moment says nothing new; a session that is gone ends its streams.
      if (!outcome.ok && outcome.problem.status === 404) return;
      news = outcome.ok ? outcome.value : null;
    }
  } catch {
    // The reader has gone, or an object was replaced: whoever still reads comes back.
  } finally {
    await writer.close();
  }
}

class EventWriter {
  closed = false;
  readonly #writer: WritableStreamDefaultWriter<Uint8Array>;
  readonly #encoder = new TextEncoder();
  #wroteAt = 0;
  #wake: () => void = () => undefined;

  constructor(writer: WritableStreamDefaultWriter<Uint8Array>) {
    this.#writer = writer;
    const ended = (): void => {
      this.closed = true;
      this.#wake();
    };
    writer.closed.then(ended, ended);
  }

  async write(text: string): Promise<void> {
    this.#wroteAt = Date.now();
    await this.#writer.write(this.#encoder.encode(text));
  }

  /** `data` is one line. */
  message(event: string, data: string): Promise<void> {
    return this.write(`event: ${event}\ndata: ${data}\n\n`);
  }

  /** Says that it lives, when it has said nothing for long. */
  async rest(): Promise<void> {
    if (Date.now() - this.#wroteAt >= KEEP_ALIVE_MS) await this.write(':\n\n');
  }

  async pause(ms: number): Promise<void> {
    if (this.closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  async close(): Promise<void> {
    await this.#writer.close().catch(() => undefined);
  }
}

const counts = new Map<LobbyId, { viewers: number; at: number }>();

async function viewersOf(env: Env, lobby: LobbyId): Promise<number> {
  const known = counts.get(lobby);
  if (known !== undefined && Date.now() - known.at < COUNT_LIFE_MS) return known.viewers;
  const nodes = await env.FLEET.getByName(FLEET_NAME).viewersOf({ lobby });
  const viewers = nodes.reduce((sum, { subscribers }) => sum + subscribers, 0);
  if (counts.size >= MAX_COUNTS) counts.clear();
  counts.set(lobby, { viewers, at: Date.now() });
  return viewers;
}
