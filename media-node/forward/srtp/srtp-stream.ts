/**
 * Protects the packets of one SSRC to one viewer. Byte for byte what `SrtpSender` makes of them, at half the cost: the
 * keystream is made for several packets at once (`Keystream`), and GCM's tag is made without its ciphertext (`GcmLengths`).
 */
import { type Cipheriv, createCipheriv, createHmac, type KeyObject } from 'node:crypto';
import { GcmLengths, paddedLength } from './gcm-lengths.ts';
import { GCM_IV_BYTES, writeGcmRtpIv } from './initial-vectors.ts';
import { Keystream, MAX_KEYSTREAM_BYTES, openBlockCipher } from './keystream.ts';
import type { SessionKeys } from './session-keys.ts';
import { GCM_TAG_BYTES, HMAC_TAG_BYTES } from './srtp-sender.ts';

const WORD_BYTES = 4;
const LOW_16 = 0x10000;
const ROC_BYTES = 4;
/** An RTP header with all the extensions that we copy, each as long as can be, is shorter. */
const MAX_HEADER_BYTES = 2048;
const GCM_OPTIONS = { authTagLength: GCM_TAG_BYTES } as const;

/** A payload that goes to many viewers, where words can be taken from it: loaded once per packet. */
export class LoadedPayload {
  length = 0;
  readonly words = new Uint32Array(MAX_KEYSTREAM_BYTES / WORD_BYTES);
  readonly #bytes = Buffer.from(this.words.buffer);

  /** @throws RangeError when it is longer than any packet */
  load(payload: Buffer): void {
    if (payload.length > this.#bytes.length) throw new RangeError(`a payload of ${payload.length} bytes is too long`);
    this.length = payload.copy(this.#bytes);
  }
}

/** `pad(header) | ciphertext`; shared, in use within one call only. */
const scratch = Buffer.from(new ArrayBuffer(MAX_HEADER_BYTES + MAX_KEYSTREAM_BYTES));
const scratchWords = new Uint32Array(scratch.buffer);
const gcmIv = Buffer.alloc(GCM_IV_BYTES);

/** What all streams of a session share. */
export class SrtpStreams {
  readonly keys: SessionKeys;
  readonly cipher: Cipheriv;
  readonly lengths: GcmLengths | null;

  constructor(keys: SessionKeys) {
    this.keys = keys;
    this.cipher = openBlockCipher(keys);
    this.lengths = keys.profile === 'AEAD_AES_128_GCM' ? new GcmLengths(this.cipher) : null;
  }

  open(ssrc: number): SrtpStream {
    return new SrtpStream(this, ssrc);
  }
}

export class SrtpStream {
  readonly #session: SrtpStreams;
  readonly #ssrc: number;
  readonly #keystream: Keystream;

  constructor(session: SrtpStreams, ssrc: number) {
    this.#session = session;
    this.#ssrc = ssrc;
    this.#keystream = new Keystream(session.keys, session.cipher, ssrc);
  }

  /**
   * Completes the packet in `out`, whose first `headerLength` bytes are its RTP header: appends the encrypted payload and
   * the tag. Returns the length of the whole. Its number is the extended one; the caller must never use one number for two
   * different packets.
   */
  protect(out: Buffer, headerLength: number, payload: LoadedPayload, extSequence: number): number {
    if (headerLength > MAX_HEADER_BYTES) throw new RangeError('the RTP header is too long');
    const start = paddedLength(headerLength);
    const end = headerLength + payload.length;
    this.#encrypt(start, payload, extSequence);
    scratch.copy(out, headerLength, start, start + payload.length);
    const { lengths } = this.#session;
    return lengths === null
      ? this.#tagByHmac(out, end, extSequence)
      : this.#tagByGcm(lengths, out, headerLength, end, extSequence);
  }

  /** Into `scratch` from `start` on, which is at the begin of a word. */
  #encrypt(start: number, payload: LoadedPayload, extSequence: number): void {
    const keystream = this.#keystream;
    keystream.seek(extSequence, payload.length);
    const { words, offset } = keystream;
    const plain = payload.words;
    const to = start / WORD_BYTES;
    const count = Math.ceil(payload.length / WORD_BYTES);
    for (let i = 0; i < count; i++) scratchWords[to + i] = (plain[i] as number) ^ (words[offset + i] as number);
  }

  #tagByGcm(lengths: GcmLengths, out: Buffer, headerLength: number, end: number, extSequence: number): number {
    const start = paddedLength(headerLength);
    const payloadLength = end - headerLength;
    const { cipherKey, salt } = this.#session.keys.rtp;
    out.copy(scratch, 0, 0, headerLength);
    scratch.fill(0, headerLength, start);
    writeGcmRtpIv(gcmIv, salt, this.#ssrc, Math.floor(extSequence / LOW_16) >>> 0, extSequence % LOW_16);
    const cipher = createCipheriv('aes-128-gcm', cipherKey, gcmIv, GCM_OPTIONS);
    cipher.setAAD(scratch.subarray(0, start + payloadLength));
    cipher.final();
    const tag = cipher.getAuthTag();
    const difference = lengths.difference(headerLength, payloadLength);
    for (let i = 0; i < GCM_TAG_BYTES; i++) out[end + i] = (tag[i] as number) ^ (difference[i] as number);
    return end + GCM_TAG_BYTES;
  }

  #tagByHmac(out: Buffer, end: number, extSequence: number): number {
    // The rollover counter is authenticated behind the packet (RFC 3711 §4.2); the tag takes its place.
    out.writeUInt32BE(Math.floor(extSequence / LOW_16) >>> 0, end);
    const hmac = createHmac('sha1', this.#session.keys.rtp.authKey as KeyObject);
    // As text, which costs a third of what a buffer of its own costs.
    const tag = hmac.update(out.subarray(0, end + ROC_BYTES)).digest('latin1');
    for (let i = 0; i < HMAC_TAG_BYTES; i++) out[end + i] = tag.charCodeAt(i);
    return end + HMAC_TAG_BYTES;
  }
}
