/**
 * The DTLS 1.2 record layer (RFC 6347 §4.1): datagrams into records and back, protection and replay defence.
 */
import { ownBytes } from './own-bytes.ts';
import { createCipher, type RecordCipher } from './werift-internals.ts';

export const CONTENT = { changeCipherSpec: 20, alert: 21, handshake: 22, applicationData: 23 } as const;

/** DTLS 1.2 on the wire; ClientHellos may come in a record that says 1.0. */
export const DTLS_1_2 = 0xfefd;
export const RECORD_HEADER_BYTES = 13;
/** Fits every path that WebRTC works on, with room for IP, UDP and a TURN header. */
export const MAX_DATAGRAM_BYTES = 1200;
/** Explicit nonce and tag of AES-GCM (RFC 5288). */
export const PROTECTION_BYTES = 8 + 16;

/** How far behind the newest record an older one may arrive (RFC 6347 §4.1.2.6). */
const REPLAY_WINDOW = 64;
const MAX_SEQUENCE = 2 ** 48 - 1;

export interface DtlsRecord {
  readonly contentType: number;
  readonly epoch: number;
  readonly sequence: number;
  /** A view of the datagram: copy it to keep it. */
  readonly body: Buffer;
}

/** The records of a datagram; whatever follows a malformed one is dropped with it (RFC 6347 §4.1.2.7). */
export function parseRecords(datagram: Buffer): DtlsRecord[] {
  const records: DtlsRecord[] = [];
  let offset = 0;
  while (offset + RECORD_HEADER_BYTES <= datagram.length) {
    const contentType = datagram.readUInt8(offset);
    const length = datagram.readUInt16BE(offset + 11);
    const start = offset + RECORD_HEADER_BYTES;
    const known = contentType >= CONTENT.changeCipherSpec && contentType <= CONTENT.applicationData;
    if (!known || datagram.readUInt8(offset + 1) !== 0xfe || start + length > datagram.length) break;
    records.push({
      contentType,
      epoch: datagram.readUInt16BE(offset + 3),
      sequence: datagram.readUIntBE(offset + 5, 6),
      body: datagram.subarray(start, start + length),
    });
    offset = start + length;
  }
  return records;
}

/** `SessionType` of werift's record cipher. */
const SESSION = { client: 1, server: 2 } as const;

/** What werift's record cipher keeps of the key block. */
const CIPHER_PARTS = ['clientWriteKey', 'serverWriteKey', 'clientNonce', 'serverNonce'] as const;

/** Writes and opens the records of one association. Epoch 0 is plain, epoch 1 protected; there is no third. */
export class RecordLayer {
  readonly #session: (typeof SESSION)[keyof typeof SESSION];
  readonly #nextSequence = [0, 0];
  #cipher: RecordCipher | null = null;
  #newest = -1;
  readonly #seen = new Array<number>(REPLAY_WINDOW).fill(-1);

  constructor(role: 'client' | 'server') {
    this.#session = SESSION[role];
  }

  get hasKeys(): boolean {
    return this.#cipher !== null;
  }

  /** Sets the keys of epoch 1 from the master secret (RFC 5246 §6.3). */
  setKeys(suite: number, masterSecret: Buffer, clientRandom: Buffer, serverRandom: Buffer): void {
    const cipher = createCipher(suite);
    cipher.init(masterSecret, serverRandom, clientRandom);
    for (const part of CIPHER_PARTS) {
      const bytes = cipher[part];
      if (bytes !== undefined) cipher[part] = ownBytes(bytes);
    }
    this.#cipher = cipher;
  }

  /** One record, under the next sequence number of its epoch: a retransmission is a new record, too. */
  seal(contentType: number, epoch: 0 | 1, body: Buffer): Buffer {
    const sequence = this.#nextSequence[epoch] ?? 0;
    if (sequence > MAX_SEQUENCE) throw new RangeError('DTLS sequence numbers are used up');
    this.#nextSequence[epoch] = sequence + 1;
    const sealed = epoch === 0 ? body : this.#protect(contentType, sequence, body);
    const header = Buffer.allocUnsafe(RECORD_HEADER_BYTES);
    header.writeUInt8(contentType, 0);
    header.writeUInt16BE(DTLS_1_2, 1);
    header.writeUInt16BE(epoch, 3);
    header.writeUIntBE(sequence, 5, 6);
    header.writeUInt16BE(sealed.length, 11);
    return Buffer.concat([header, sealed]);
  }

  /** The plaintext of a protected record; null when it is forged, replayed or too early (no keys yet). */
  open(record: DtlsRecord): Buffer | null {
    if (record.epoch !== 1 || this.#cipher === null || record.body.length < PROTECTION_BYTES) return null;
    if (this.#isReplay(record.sequence)) return null;
    let plain: Buffer;
    try {
      plain = this.#cipher.decrypt(this.#session, record.body, {
        type: record.contentType,
        version: DTLS_1_2,
        epoch: record.epoch,
        sequenceNumber: record.sequence,
      });
    } catch {
      return null;
    }
    this.#newest = Math.max(this.#newest, record.sequence);
    this.#seen[record.sequence % REPLAY_WINDOW] = record.sequence;
    return plain;
  }

  #protect(contentType: number, sequence: number, body: Buffer): Buffer {
    if (this.#cipher === null) throw new Error('DTLS keys are not there yet');
    return this.#cipher.encrypt(this.#session, body, {
      type: contentType,
      version: DTLS_1_2,
      epoch: 1,
      sequenceNumber: sequence,
    });
  }

  #isReplay(sequence: number): boolean {
    return sequence <= this.#newest - REPLAY_WINDOW || this.#seen[sequence % REPLAY_WINDOW] === sequence;
  }
}
