/**
 * The connections of one node, as the runtime holds them: they outlive the object in memory, so nothing of them is kept here
 * but the time of the last frame.
 */

import { MAX_GREETING } from './hello-gate.ts';
import { type Attachment, closeQuietly, readAttachment } from './link-socket.ts';
import type { LinkState } from './node-link-machine.ts';
import { CLOSE_BUSY, CLOSE_POLICY, nextTick } from './node-link-machine.ts';

/** A connection that has not said hello yet is closed after this long. */
const HELLO_DEADLINE_MS = 5_000;

export class LinkSockets {
  readonly #ctx: DurableObjectState;
  /** Unix ms of the last frame on the link; pings are answered by the runtime and asked for separately. */
  #frameAt = 0;

  constructor(ctx: DurableObjectState) {
    this.#ctx = ctx;
  }

  get numbers(): number[] {
    return this.#ctx.getWebSockets().map((socket) => readAttachment(socket)?.connection ?? 0);
  }

  /** More than every number that was given. */
  nextNumber(state: LinkState): number {
    return Math.max(Date.now(), 1 + Math.max(state?.connection ?? 0, ...this.numbers));
  }

  of(connection: number | null): WebSocket | null {
    if (connection === null) return null;
    const sockets = this.#ctx.getWebSockets();
    return sockets.find((socket) => readAttachment(socket)?.connection === connection) ?? null;
  }

  /** The link, once its node was welcomed. */
  ready(state: LinkState): WebSocket | null {
    const socket = this.of(state?.connection ?? null);
    return socket !== null && readAttachment(socket)?.stage === 'ready' ? socket : null;
  }

  /** What the linked node said of itself; null without a link. */
  about(state: LinkState): Attachment['about'] {
    const socket = this.of(state?.connection ?? null);
    return socket === null ? null : (readAttachment(socket)?.about ?? null);
  }

  /** However many dial and say nothing, there is room for one who does. */
  makeWay(): void {
    const greeting = this.#ctx.getWebSockets().filter((socket) => readAttachment(socket)?.stage === 'greeting');
    for (const socket of greeting.slice(MAX_GREETING - 1)) closeQuietly(socket, CLOSE_BUSY, 'too many connections');
  }

  closeSpeechless(now: number): void {
    for (const socket of this.#ctx.getWebSockets()) {
      const attachment = readAttachment(socket);
      if (attachment?.stage === 'greeting' && attachment.since + HELLO_DEADLINE_MS <= now) {
        closeQuietly(socket, CLOSE_POLICY, 'no hello');
      }
    }
  }

  /** A frame came on the link. */
  heard(): void {
    this.#frameAt = Date.now();
  }

  /** Unix ms of the last sign of life on the link; null without a link. */
  heardAt(state: LinkState): number | null {
    const socket = this.of(state?.connection ?? null);
    if (socket === null) return null;
    const pingAt = this.#ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(pingAt, this.#frameAt, readAttachment(socket)?.since ?? 0);
  }

  /** Unix ms at which something has to be looked at; null: never. */
  nextLook(state: LinkState, now: number): number | null {
    const looks = this.#ctx.getWebSockets().flatMap((socket) => {
      const attachment = readAttachment(socket);
      return attachment?.stage === 'greeting' ? [attachment.since + HELLO_DEADLINE_MS] : [];
    });
    const tick = nextTick(state, this.heardAt(state), now);
    if (tick !== null) looks.push(tick);
    return looks.length === 0 ? null : Math.max(now, Math.min(...looks));
  }
}
