/**
 * What a node says to a WHEP or WHIP client on the data channel that the client opened for it (`vestibule-events`): JSON
 * text, the same as WHEP's server-sent events. A client without one, or with others, is told nothing.
 */
import type { DataChannel } from '../transport/types.ts';

export const EVENTS_LABEL = 'vestibule-events';
/** "Make a new session, then leave this one." */
const RECONNECT = JSON.stringify({ type: 'reconnect', data: {} });

export class EventChannel {
  #channel: DataChannel | null = null;
  #moving = false;
  readonly #last = new Map<string, unknown>();

  /** Takes a channel that the client opened; false when it is another one. */
  adopt(channel: DataChannel): boolean {
    if (channel.label !== EVENTS_LABEL) return false;
    this.#channel = channel;
    if (this.#moving) channel.sendText(RECONNECT);
    for (const [type, data] of this.#last) channel.sendText(JSON.stringify({ type, data }));
    return true;
  }

  /** Says what is so now; a channel that opens later is told the last word of each type. */
  tell(type: 'layers', data: unknown): void {
    this.#last.set(type, data);
    this.#channel?.sendText(JSON.stringify({ type, data }));
  }

  /** Asks the client to move, now or when its channel opens. Again: it is asked again. */
  askToMove(): void {
    this.#moving = true;
    this.#channel?.sendText(RECONNECT);
  }
}
