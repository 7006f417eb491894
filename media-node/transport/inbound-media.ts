/** What becomes of a transport's incoming media: it is handed on as it came, or opened by the sockets, once they have its keys. */
import { type DatagramSockets, NO_KEYRING } from './datagram-socket.ts';
import type { InboundKeys, InboundListener } from './types.ts';

export class InboundMedia {
  readonly #sockets: DatagramSockets;
  readonly #onMedia: (datagram: Buffer, nowMs: number) => void;
  #listener: InboundListener = () => {};
  #keyring = NO_KEYRING;

  /** @param onMedia gets what nobody opened */
  constructor(sockets: DatagramSockets, onMedia: (datagram: Buffer, nowMs: number) => void) {
    this.#sockets = sockets;
    this.#onMedia = onMedia;
  }

  /** What addresses are to be claimed with. */
  get keyring(): number {
    return this.#keyring;
  }

  /** Gives the keys to the sockets, once. False when they do not open media; else claim all addresses anew. */
  open(keys: InboundKeys, listener: InboundListener): boolean {
    if (this.#keyring !== NO_KEYRING) return false;
    this.#keyring = this.#sockets.openKeyring(keys);
    if (this.#keyring === NO_KEYRING) return false;
    this.#listener = listener;
    return true;
  }

  /** Media as it came; of a batch that was read before the sockets got its keys, when they have them now. */
  receive(datagram: Buffer, nowMs: number): void {
    if (this.#keyring === NO_KEYRING) {
      this.#onMedia(datagram, nowMs);
      return;
    }
    const { packet, length, index } = this.#sockets.openOne(this.#keyring, datagram);
    this.#listener(packet, length, index, datagram.length, nowMs);
  }

  /** Media that the sockets have opened. */
  receiveOpened(packet: Buffer, length: number, index: number, wireBytes: number, nowMs: number): void {
    this.#listener(packet, length, index, wireBytes, nowMs);
  }

  /** Takes the keys back; release all addresses before. Idempotent. */
  close(): void {
    if (this.#keyring !== NO_KEYRING) this.#sockets.closeKeyring(this.#keyring);
    this.#keyring = NO_KEYRING;
    this.#listener = () => {};
  }
}
