/** A member's signal channel: reads and writes its frames, and does what the signal machine decides. */
import {
  decodeFrame,
  encodeFrame,
  muteFrame,
  offerFrame,
  reconnectFrame,
  type SignalFrame,
} from '../../shared/signal-frames.ts';
import type { DataChannel, DataChannels } from '../transport/types.ts';
import { FloodWatch } from './flood-watch.ts';
import { openSignal, type SignalEffect, type SignalEvent, type SignalState, step } from './signal-machine.ts';

export interface SignalChannelOptions {
  /** Monotonic milliseconds. */
  now(): number;
  /** The next offer to the member's listener; null when it has what it should have. */
  makeOffer(): string | null;
  /** Takes the listener's answer to the newest offer; false when it does not fit. */
  acceptAnswer(sdp: string): boolean;
  /** Call `tellMute` for each track that the listener was offered. */
  repeatMutes(): void;
  /** The member mutes or unmutes its own track `mid`. */
  onMute(mid: string, muted: boolean): void;
  /** It floods the channel and does not stop. */
  onFlood(): void;
}

export class SignalChannel {
  readonly #options: SignalChannelOptions;
  readonly #watch = new FloodWatch();
  /** The newest one counts. */
  #channel: DataChannel | null = null;
  #channels: DataChannels | null = null;
  #state: SignalState = openSignal();
  readonly #waiting = new Set<(open: boolean) => void>();

  constructor(options: SignalChannelOptions) {
    this.#options = options;
  }

  get open(): boolean {
    return this.#state.open;
  }

  /** The member's data channels, once its transport has them. */
  use(channels: DataChannels): void {
    this.#channels = channels;
  }

  /** The member opened a channel; any label will do. */
  adopt(channel: DataChannel): void {
    channel.onMessage = (data) => this.#receive(channel, data);
    channel.onClose = () => {
      if (channel === this.#channel) this.#lose();
    };
    this.#channel = channel;
    this.#say({ type: 'channel-opened' });
    for (const tell of this.#waiting) tell(true);
  }

  /** True as soon as there is a channel; false when there is none within `timeoutMs`, or never will be. */
  async whenOpen(timeoutMs: number): Promise<boolean> {
    if (this.open) return true;
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => resolve(false), timeoutMs);
    this.#waiting.add(resolve);
    const open = await promise;
    clearTimeout(timer);
    this.#waiting.delete(resolve);
    return open;
  }

  /** `offered`: our offer went out over HTTP; `settled`: nothing is awaited; `closed`: it is gone. */
  noteListener(what: 'offered' | 'settled' | 'closed'): void {
    this.#say({ type: `listener-${what}` });
  }

  /** The tracks that the listener should have changed. */
  noteTracks(): void {
    this.#say({ type: 'tracks-changed' });
  }

  /** The track that the listener was offered as `mid` is now muted or not. */
  tellMute(mid: string, muted: boolean): void {
    this.#say({ type: 'track-muted', mid, muted });
  }

  /** The member shall come back elsewhere: it is told now, and on each channel that it opens. */
  askToMove(): void {
    this.#say({ type: 'move-asked' });
  }

  /** Call it once a second. */
  tick(): void {
    this.#say({ type: 'time-passed' });
    const { malformed, stale, offers, refused, mutes } = this.#state.noise;
    const dropped = this.#channels?.dropped ?? 0;
    if (this.#watch.look(dropped + malformed + stale + offers + refused + mutes)) this.#options.onFlood();
  }

  /** The member is gone. Idempotent. */
  close(): void {
    this.#lose();
    for (const tell of this.#waiting) tell(false);
  }

  #lose(): void {
    this.#channel = null;
    if (this.#state.open) this.#say({ type: 'channel-closed' });
  }

  #receive(channel: DataChannel, data: Buffer): void {
    // What still comes on a channel that was replaced is as good as what comes on the new one, but answers go there.
    if (this.#channel === null || !channel.open) return;
    this.#say(eventOf(decodeFrame(data)));
  }

  #say(event: SignalEvent): void {
    const { state, effects } = step(this.#state, event, this.#options.now());
    this.#state = state;
    for (const effect of effects) this.#run(effect);
  }

  #run(effect: SignalEffect): void {
    switch (effect.type) {
      case 'make-offer':
        this.#say({ type: 'offer-made', sdp: this.#options.makeOffer() });
        break;
      case 'apply-answer':
        this.#say({ type: 'answer-applied', accepted: this.#options.acceptAnswer(effect.sdp) });
        break;
      case 'send-offer':
        this.#send({ ...offerFrame(effect.number, effect.sdp), id: effect.id });
        break;
      case 'send-mute':
        this.#send({ ...muteFrame(effect.mid, effect.muted), id: effect.id });
        break;
      case 'send-reconnect':
        this.#send({ ...reconnectFrame(), id: effect.id });
        break;
      case 'repeat-mutes':
        this.#options.repeatMutes();
        break;
      case 'mute':
        this.#options.onMute(effect.mid, effect.muted);
        break;
    }
  }

  /** What the channel does not take is said again when the offer is repeated. */
  #send(frame: SignalFrame): void {
    this.#channel?.send(Buffer.from(encodeFrame(frame)));
  }
}

function eventOf(frame: SignalFrame | null): SignalEvent {
  switch (frame?.type) {
    case 1:
      return { type: 'offer-received' };
    case 2:
      return { type: 'answer-received', number: frame.data.number, sdp: frame.data.sdp.sdp };
    case 3:
      return { type: 'mute-received', mid: frame.data.mid, muted: frame.data.mute };
    default:
      return { type: 'malformed-received' };
  }
}
