/** Protects what we send: one direction of one session (RFC 3711, RFC 7714). */
import { type CipherGCM, createCipheriv, createHmac, type KeyObject } from 'node:crypto';
import {
  CM_IV_BYTES,
  GCM_IV_BYTES,
  writeCmRtcpIv,
  writeCmRtpIv,
  writeGcmRtcpIv,
  writeGcmRtpIv,
} from './initial-vectors.ts';
import type { SessionKeys } from './session-keys.ts';

export const GCM_TAG_BYTES = 16;
export const HMAC_TAG_BYTES = 10;
/** `E | SRTCP index` (RFC 3711 §3.4). */
export const SRTCP_INDEX_BYTES = 4;
/** The first 8 bytes of a compound RTCP packet stay in the clear. */
export const RTCP_CLEAR_BYTES = 8;
/** The most that protection adds to a packet. */
export const SRTP_OVERHEAD = GCM_TAG_BYTES + SRTCP_INDEX_BYTES;
export const SRTCP_ENCRYPTED = 0x80000000;
export const MAX_SRTCP_INDEX = 0x7fffffff;

const GCM_OPTIONS = { authTagLength: GCM_TAG_BYTES } as const;

export class SrtpSender {
  readonly #keys: SessionKeys;
  readonly #gcm: boolean;
  readonly #iv: Buffer;
  readonly #roc = Buffer.alloc(4);
  #rtcpIndex = 0;

  constructor(keys: SessionKeys) {
    this.#keys = keys;
    this.#gcm = keys.profile === 'AEAD_AES_128_GCM';
    this.#iv = Buffer.alloc(this.#gcm ? GCM_IV_BYTES : CM_IV_BYTES);
  }

  /**
   * Completes the packet in `out`, whose first `headerLength` bytes are its RTP header (with extensions): appends the
   * encrypted `payload` and the tag. Returns the length of the whole. The rollover counter comes from the caller, who
   * must never use one (SSRC, counter, sequence) for two different packets.
   */
  protectRtp(out: Buffer, headerLength: number, payload: Buffer, roc: number): number {
    const ssrc = out.readUInt32BE(8);
    const sequence = out.readUInt16BE(2);
    return this.#gcm
      ? this.#protectGcm(out, headerLength, payload, ssrc, sequence, roc)
      : this.#protectCm(out, headerLength, payload, ssrc, sequence, roc);
  }

  #protectGcm(out: Buffer, headerLength: number, payload: Buffer, ssrc: number, sequence: number, roc: number): number {
    const { cipherKey, salt } = this.#keys.rtp;
    writeGcmRtpIv(this.#iv, salt, ssrc, roc, sequence);
    const cipher = createCipheriv('aes-128-gcm', cipherKey, this.#iv, GCM_OPTIONS);
    cipher.setAAD(out.subarray(0, headerLength));
    const end = headerLength + cipher.update(payload).copy(out, headerLength);
    cipher.final();
    return end + cipher.getAuthTag().copy(out, end);
  }

  #protectCm(out: Buffer, headerLength: number, payload: Buffer, ssrc: number, sequence: number, roc: number): number {
    const { cipherKey, salt, authKey } = this.#keys.rtp;
    writeCmRtpIv(this.#iv, salt, ssrc, roc, sequence);
    const end =
      headerLength + createCipheriv('aes-128-ctr', cipherKey, this.#iv).update(payload).copy(out, headerLength);
    this.#roc.writeUInt32BE(roc >>> 0);
    const tag = createHmac('sha1', authKey as KeyObject)
      .update(out.subarray(0, end))
      .update(this.#roc)
      .digest();
    return end + tag.copy(out, end, 0, HMAC_TAG_BYTES);
  }

  /**
   * Protects the compound packet in the first `length` bytes of `buffer` in place; `buffer` needs `SRTP_OVERHEAD` spare
   * bytes. Returns the new length. Throws RangeError when the 2^31 packets that one key may protect are used up.
   */
  protectRtcp(buffer: Buffer, length: number): number {
    if (this.#rtcpIndex >= MAX_SRTCP_INDEX) throw new RangeError('SRTCP index exhausted');
    return this.protectRtcpAt(buffer, length, ++this.#rtcpIndex);
  }

  /** As `protectRtcp`, with the index given. For known-answer tests; a session counts by itself. */
  protectRtcpAt(buffer: Buffer, length: number, index: number): number {
    const { cipherKey, salt, authKey } = this.#keys.rtcp;
    const ssrc = buffer.readUInt32BE(4);
    const body = buffer.subarray(RTCP_CLEAR_BYTES, length);
    if (this.#gcm) {
      writeGcmRtcpIv(this.#iv, salt, ssrc, index);
      const cipher: CipherGCM = createCipheriv('aes-128-gcm', cipherKey, this.#iv, GCM_OPTIONS);
      const trailer = length + GCM_TAG_BYTES;
      buffer.writeUInt32BE((SRTCP_ENCRYPTED | index) >>> 0, trailer);
      cipher.setAAD(
        Buffer.concat([buffer.subarray(0, RTCP_CLEAR_BYTES), buffer.subarray(trailer, trailer + SRTCP_INDEX_BYTES)]),
      );
      cipher.update(body).copy(body);
      cipher.final();
      cipher.getAuthTag().copy(buffer, length);
      return trailer + SRTCP_INDEX_BYTES;
    }
    writeCmRtcpIv(this.#iv, salt, ssrc, index);
    createCipheriv('aes-128-ctr', cipherKey, this.#iv).update(body).copy(body);
    buffer.writeUInt32BE((SRTCP_ENCRYPTED | index) >>> 0, length);
    const end = length + SRTCP_INDEX_BYTES;
    const tag = createHmac('sha1', authKey as KeyObject)
      .update(buffer.subarray(0, end))
      .digest();
    return end + tag.copy(buffer, end, 0, HMAC_TAG_BYTES);
  }
}
