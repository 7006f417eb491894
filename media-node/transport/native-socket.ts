/**
 * Sockets of the addon: what can be read is read in batches, one call of JavaScript for up to 64 datagrams, and SRTP of
 * claimed addresses is opened in the same batch. Nothing is allocated for a packet that was opened.
 */
import { getSystemErrorName } from 'node:util';
import { PROFILES } from '../forward/native/native-keys.ts';
import {
  COLUMN,
  COLUMNS,
  KIND,
  NO_OPENER,
  type ReceiveMethods,
  SLOT_BYTES,
  SLOTS,
  STATE,
  STATES,
} from '../forward/native/receive-methods.ts';
import {
  type DatagramOwner,
  type DatagramSocket,
  type DatagramSockets,
  NO_KEYRING,
  SOCKET_BUFFER_BYTES,
} from './datagram-socket.ts';
import { INBOUND_REFUSED, INBOUND_RTCP, type InboundKeys } from './types.ts';

/** The longest IPv6 address with the longest zone. */
const MAX_ADDRESS_TEXT = 64;

export interface ReceiveAddon {
  createReceiver(): ReceiveMethods;
}

/** Called by the addon with what the kernel had, for one socket. */
interface BatchTaker {
  take(count: number): void;
}

/** The sockets and keyrings of one owner; errors of the addon when there is something wrong with this Node. */
export class NativeSockets implements DatagramSockets {
  readonly #native: ReceiveMethods;
  readonly #slab = Buffer.alloc(SLOTS * SLOT_BYTES);
  readonly #columns = new Float64Array(SLOTS * COLUMNS);
  /** A view for each slot, made once. */
  readonly #slots = Array.from({ length: SLOTS }, (_, slot) =>
    this.#slab.subarray(slot * SLOT_BYTES, (slot + 1) * SLOT_BYTES),
  );
  readonly #takers: (BatchTaker | undefined)[] = [];
  readonly #single = Buffer.alloc(SLOT_BYTES);
  readonly #singleColumns = new Float64Array(COLUMNS);
  readonly #opened = { packet: this.#single, length: 0, index: INBOUND_REFUSED };

  constructor(addon: ReceiveAddon) {
    this.#native = addon.createReceiver();
    this.#native.start(this.#slab, this.#columns, (socket, count) => this.#takers[socket]?.take(count));
  }

  async bind<T extends DatagramOwner>(address: string, _family: 4 | 6, port: number): Promise<DatagramSocket<T>> {
    const handle = this.#native.openSocket(address, port, SOCKET_BUFFER_BYTES, SOCKET_BUFFER_BYTES);
    if (handle < 0) throw bindError(handle, address, port);
    const socket = new NativeSocket<T>(this.#native, handle, this.#slots, this.#columns, () => {
      this.#takers[handle] = undefined;
    });
    this.#takers[handle] = socket;
    return socket;
  }

  openKeyring({ profile, bytes }: InboundKeys): number {
    return this.#native.openOpener(PROFILES[profile], bytes);
  }

  closeKeyring(keyring: number): void {
    this.#native.closeOpener(keyring);
  }

  openOne(keyring: number, datagram: Buffer): { packet: Buffer; length: number; index: number } {
    const opened = this.#opened;
    const bytes = datagram.copy(this.#single);
    const columns = this.#singleColumns;
    this.#native.openMedia(keyring, this.#single, bytes, columns);
    opened.length = columns[COLUMN.length] as number;
    opened.index = indexOf(columns[COLUMN.kind] as number, columns[COLUMN.index] as number);
    return opened;
  }

  close(): void {
    this.#native.end();
  }
}

function indexOf(kind: number, index: number): number {
  if (kind === KIND.rtp) return index;
  return kind === KIND.rtcp ? INBOUND_RTCP : INBOUND_REFUSED;
}

function bindError(code: number, address: string, port: number): NodeJS.ErrnoException {
  const name = getSystemErrorName(code);
  return Object.assign(new Error(`bind ${name} ${address}:${port}`), { code: name, errno: code, syscall: 'bind' });
}

interface Claim<T> {
  readonly address: string;
  readonly port: number;
  readonly owner: T;
  readonly number: number;
  keyring: number;
}

class NativeSocket<T extends DatagramOwner> implements DatagramSocket<T>, BatchTaker {
  readonly port: number;
  readonly receiveBufferBytes: number;
  readonly sendBufferBytes: number;
  onDatagram: DatagramSocket<T>['onDatagram'] = () => {};
  onOpened: DatagramSocket<T>['onOpened'] = () => {};
  errorCount = 0;
  readonly #native: ReceiveMethods;
  readonly #handle: number;
  readonly #fd: number;
  readonly #slots: readonly Buffer[];
  readonly #columns: Float64Array;
  readonly #onClosed: () => void;
  readonly #state = new Float64Array(STATES);
  readonly #sender = Buffer.alloc(MAX_ADDRESS_TEXT);
  /** By the numbers of the addon. */
  readonly #claims: (Claim<T> | undefined)[] = [];
  readonly #byAddress = new Map<string, Claim<T>>();
  #closed = false;

  constructor(
    native: ReceiveMethods,
    handle: number,
    slots: readonly Buffer[],
    columns: Float64Array,
    onClosed: () => void,
  ) {
    this.#native = native;
    this.#handle = handle;
    this.#slots = slots;
    this.#columns = columns;
    this.#onClosed = onClosed;
    native.socketState(handle, this.#state);
    this.port = this.#state[STATE.port] as number;
    this.#fd = this.#state[STATE.fd] as number;
    this.receiveBufferBytes = this.#state[STATE.receiveBufferBytes] as number;
    this.sendBufferBytes = this.#state[STATE.sendBufferBytes] as number;
  }

  get fd(): number | null {
    return this.#closed ? null : this.#fd;
  }

  get claimCount(): number {
    return this.#byAddress.size;
  }

  get overflowCount(): number {
    if (!this.#closed) this.#native.socketState(this.#handle, this.#state);
    return this.#state[STATE.overflowed] as number;
  }

  take(count: number): void {
    const nowMs = performance.now();
    const columns = this.#columns;
    for (let slot = 0; slot < count && !this.#closed; slot++) {
      const row = slot * COLUMNS;
      const bytes = this.#slots[slot] as Buffer;
      const kind = columns[row + COLUMN.kind] as number;
      const length = columns[row + COLUMN.length] as number;
      const index = columns[row + COLUMN.index] as number;
      // Undefined, too, for one that was released by what came before in this batch.
      const claim = this.#claims[columns[row + COLUMN.number] as number];
      if (kind !== KIND.raw) {
        const wireBytes = columns[row + COLUMN.wireLength] as number;
        if (claim !== undefined) this.onOpened(claim.owner, bytes, length, indexOf(kind, index), wireBytes, nowMs);
      } else if (claim === undefined) {
        this.onDatagram(bytes.subarray(0, length), this.#senderOf(slot), index, null, nowMs);
      } else {
        this.onDatagram(bytes.subarray(0, length), claim.address, claim.port, claim.owner, nowMs);
      }
    }
  }

  #senderOf(slot: number): string {
    return this.#sender.toString('latin1', 0, this.#native.senderOf(this.#handle, slot, this.#sender));
  }

  claim(address: string, port: number, owner: T): void {
    if (this.#closed) return;
    const key = keyOf(address, port);
    const known = this.#byAddress.get(key);
    const keyring = owner.keyring === NO_KEYRING ? NO_OPENER : owner.keyring;
    if (known?.owner === owner) {
      if (known.keyring === keyring) return;
      known.keyring = keyring;
      this.#native.setOpener(this.#handle, known.number, keyring);
      return;
    }
    if (known !== undefined) this.#claims[known.number] = undefined;
    const number = this.#native.claim(this.#handle, address, port, keyring);
    const claim = { address, port, owner, number, keyring };
    this.#claims[number] = claim;
    this.#byAddress.set(key, claim);
  }

  release(address: string, port: number, owner: T): void {
    const key = keyOf(address, port);
    const known = this.#byAddress.get(key);
    if (known === undefined || known.owner !== owner) return;
    this.#byAddress.delete(key);
    this.#claims[known.number] = undefined;
    if (!this.#closed) this.#native.release(this.#handle, known.number);
  }

  send(datagram: Buffer, address: string, port: number): void {
    if (!this.#closed && this.#native.send(this.#handle, datagram, address, port) !== 0) this.errorCount += 1;
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#native.closeSocket(this.#handle);
    this.#onClosed();
  }
}

function keyOf(address: string, port: number): string {
  return `${address} ${port}`;
}
