/**
 * Event streams of viewers (draft WHEP core extensions). Nothing is queued: a stream remembers what its reader knows, and
 * a read tells what is different now, so that a slow reader costs no memory.
 */
import { randomBytes } from 'node:crypto';
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId } from '../../shared/ids.ts';
import type { NodeResult, PlayEvent } from '../../shared/protocol/control.ts';

/** Streams of one node. Each is read every few seconds over the link: more would crowd out what it is for. */
const MAX_STREAMS = 200;
/** Of one session; the oldest one ends for a fifth. */
const MAX_SESSION_STREAMS = 4;
/** One that nobody has read for this long makes room for another one: its reader went without a word. */
const UNREAD_MS = 60_000;
const ID_BYTES = 12;

/** Whose events they are: an `EgressSession`. */
export interface EventSource {
  readonly closed: boolean;
  /** It was asked to move. */
  readonly moving: boolean;
  readonly layers: { readonly active: boolean; describe(): object };
}

interface EventStream {
  readonly session: EventSource;
  readonly lobby: LobbyId;
  readonly events: ReadonlySet<PlayEvent>;
  /** Null: nothing; there is no initial `inactive`. */
  active: boolean | null;
  /** The last `layers` without what changes all the time. */
  layers: string;
  moving: boolean;
  /** When it was opened or last read. */
  readAt: number;
}

export class EventStreams {
  readonly #now: () => number;
  readonly #streams = new Map<string, EventStream>();

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** @throws ProblemError 503 `too_many_streams` */
  open(session: EventSource, lobby: LobbyId, events: readonly PlayEvent[]): { stream: string } {
    this.#forget(({ session: { closed } }) => closed);
    const own = [...this.#streams].filter(([, stream]) => stream.session === session);
    for (const [id] of own.slice(0, Math.max(0, own.length + 1 - MAX_SESSION_STREAMS))) this.#streams.delete(id);
    const now = this.#now();
    if (this.#streams.size >= MAX_STREAMS) this.#forget(({ readAt }) => now - readAt >= UNREAD_MS);
    if (this.#streams.size >= MAX_STREAMS) {
      throw new ProblemError(503, 'too_many_streams', 'too many event streams are open', { retryAfterSeconds: 30 });
    }
    const id = randomBytes(ID_BYTES).toString('base64url');
    this.#streams.set(id, {
      session,
      lobby,
      events: new Set(events),
      active: null,
      layers: '',
      moving: false,
      readAt: now,
    });
    return { stream: id };
  }

  /** What is news; all that is so when `fresh`. @throws ProblemError 404 `no_stream` */
  read(session: EventSource, id: string, fresh = false): NodeResult<'read-events'> {
    const stream = this.#find(session, id);
    stream.readAt = this.#now();
    if (fresh) {
      // Still no initial `inactive`, but one that a former reader may have missed.
      if (stream.active !== null) stream.active = !session.layers.active;
      stream.layers = '';
      stream.moving = false;
    }
    const messages: NodeResult<'read-events'>['messages'] = [];
    const say = (event: PlayEvent, data: unknown): void => {
      if (stream.events.has(event)) messages.push({ event, data: JSON.stringify(data) });
    };
    const { active } = session.layers;
    if (active !== stream.active && (active || stream.active !== null)) say(active ? 'active' : 'inactive', {});
    if (active || stream.active !== null) stream.active = active;
    const layers = session.layers.describe();
    // Bitrates alone are no news.
    const shape = JSON.stringify(layers, (key, value) => (key === 'bitrate' ? value > 0 : value));
    if (shape !== stream.layers && Object.keys(layers).length > 0) {
      stream.layers = shape;
      say('layers', layers);
    }
    if (session.moving && !stream.moving) {
      stream.moving = true;
      say('reconnect', {});
    }
    return { messages, viewersOf: stream.events.has('viewercount') ? stream.lobby : null };
  }

  /** @throws ProblemError 404 `no_stream` */
  close(session: EventSource, id: string): void {
    this.#find(session, id);
    this.#streams.delete(id);
  }

  #find(session: EventSource, id: string): EventStream {
    const stream = this.#streams.get(id);
    if (stream?.session === session) return stream;
    throw new ProblemError(404, 'no_stream', 'no such event stream');
  }

  #forget(isOver: (stream: EventStream) => boolean): void {
    for (const [id, stream] of this.#streams) if (isOver(stream)) this.#streams.delete(id);
  }
}
