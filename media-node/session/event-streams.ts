/**
 * Event streams of viewers (draft WHEP core extensions). Nothing is queued: a stream remembers what its reader knows, and
 * a read tells what is different now, so that a slow reader costs no memory.
 */
import { randomBytes } from 'node:crypto';
import { ProblemError } from '../../shared/errors.ts';
import type { LobbyId } from '../../shared/ids.ts';
import type { NodeResult, PlayEvent } from '../../shared/protocol/control.ts';
import type { EgressSession } from './egress-session.ts';

/** Streams of one node. Each is read every few seconds over the link: more would crowd out what it is for. */
const MAX_STREAMS = 200;
/** Of one session; the oldest one ends for a fifth. */
const MAX_SESSION_STREAMS = 4;
const ID_BYTES = 12;

interface EventStream {
  readonly session: EgressSession;
  readonly lobby: LobbyId;
  readonly events: ReadonlySet<PlayEvent>;
  /** Null: nothing; there is no initial `inactive`. */
  active: boolean | null;
  /** The last `layers` without what changes all the time. */
  layers: string;
  moving: boolean;
}

export class EventStreams {
  readonly #streams = new Map<string, EventStream>();

  /** @throws ProblemError 503 `too_many_streams` */
  open(session: EgressSession, lobby: LobbyId, events: readonly PlayEvent[]): { stream: string } {
    this.#forgetClosed();
    const own = [...this.#streams].filter(([, stream]) => stream.session === session);
    for (const [id] of own.slice(0, Math.max(0, own.length + 1 - MAX_SESSION_STREAMS))) this.#streams.delete(id);
    if (this.#streams.size >= MAX_STREAMS) {
      throw new ProblemError(503, 'too_many_streams', 'too many event streams are open', { retryAfterSeconds: 30 });
    }
    const id = randomBytes(ID_BYTES).toString('base64url');
    this.#streams.set(id, { session, lobby, events: new Set(events), active: null, layers: '', moving: false });
    return { stream: id };
  }

  /** What is news. @throws ProblemError 404 `no_stream` */
  read(session: EgressSession, id: string): NodeResult<'read-events'> {
    const stream = this.#find(session, id);
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
  close(session: EgressSession, id: string): void {
    this.#find(session, id);
    this.#streams.delete(id);
  }

  #find(session: EgressSession, id: string): EventStream {
    const stream = this.#streams.get(id);
    if (stream?.session === session) return stream;
    throw new ProblemError(404, 'no_stream', 'no such event stream');
  }

  #forgetClosed(): void {
    for (const [id, { session }] of this.#streams) if (session.closed) this.#streams.delete(id);
  }
}
