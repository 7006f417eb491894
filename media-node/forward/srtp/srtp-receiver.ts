/**
 * Checks and opens what a peer sends: one direction of one session (RFC 3711, RFC 7714). Nothing is remembered of a
 * packet before it has authenticated.
 */
import { createDecipheriv, createHmac, type KeyObject, timingSafeEqual } from 'node:crypto';
import type { RtpHeader } from '../rtp-header.ts';
import { extendSequence, rolloverOf } from '../sequence.ts';
import {
  CM_IV_BYTES,
  GCM_IV_BYTES,
  writeCmRtcpIv,
  writeCmRtpIv,
  writeGcmRtcpIv,
  writeGcmRtpIv,
} from './initial-vectors.ts';
import { ReplayWindow } from './replay-window.ts';
import type { SessionKeys } from './session-keys.ts';
import {
  GCM_TAG_BYTES,
  HMAC_TAG_BYTES,
  MAX_SRTCP_INDEX,
  RTCP_CLEAR_BYTES,
  SRTCP_ENCRYPTED,
  SRTCP_INDEX_BYTES,
} from './srtp-sender.ts';

/** Enough for 16 tracks of 3 layers with RTX; beyond it the SSRC that was silent for longest is forgotten. */
export const MAX_SSRCS = 96;
const GCM_OPTIONS = { authTagLength: GCM_TAG_BYTES } as const;
const NO_BYTES = Buffer.alloc(0);

interface SsrcState {
  window: ReplayWindow;
  /** Order of last use. */
  usedAt: number;
}

export class SrtpReceiver {
  readonly #keys: SessionKeys;
  readonly #gcm: boolean;
  readonly #iv: Buffer;
  readonly #roc = Buffer.alloc(4);
  readonly #rtp = new Map<number, SsrcState>();
  readonly #rtcp = new Map<number, SsrcState>();
  #uses = 0;
  /** Extended sequence number (SRTP index) of the packet that `unprotectRtp` accepted last. */
  index = 0;

  constructor(keys: SessionKeys) {
    this.#keys = keys;
    this.#gcm = keys.profile === 'AEAD_AES_128_GCM';
    this.#iv = Buffer.alloc(this.#gcm ? GCM_IV_BYTES : CM_IV_BYTES);
  }

  /** SSRCs remembered; bounded by `MAX_SSRCS`. */
  get ssrcCount(): number {
    return this.#rtp.size;
  }

  /**
   * Opens an RTP packet whose header was parsed into `header`; writes the plaintext packet to `out` (at least as long as
   * `packet`) and returns its length, or -1 when it is forged, replayed or too old. `index` then tells its number.
   */
  unprotectRtp(packet: Buffer, header: RtpHeader, out: Buffer): number {
    const tagBytes = this.#gcm ? GCM_TAG_BYTES : HMAC_TAG_BYTES;
    const end = packet.length - tagBytes;
    if (end < header.length || packet.length > out.length) return -1;
    const known = this.#rtp.get(header.ssrc);
    // RFC 3711 §3.3.1: a receiver that joins at the start of a stream takes the first rollover counter to be zero.
    const index = known === undefined ? header.sequence : extendSequence(header.sequence, known.window.highest);
    if (index < 0 || (known !== undefined && !known.window.accepts(index))) return -1;
    const plain = this.#gcm
      ? this.#openGcm(packet, header, end, rolloverOf(index))
      : this.#openCm(packet, header, end, rolloverOf(index));
    if (plain === null) return -1;
    this.#state(this.#rtp, header.ssrc, known).window.record(index);
    this.index = index;
    packet.copy(out, 0, 0, header.length);
    return header.length + plain.copy(out, header.length);
  }

  #openGcm(packet: Buffer, header: RtpHeader, end: number, roc: number): Buffer | null {
    const { cipherKey, salt } = this.#keys.rtp;
    writeGcmRtpIv(this.#iv, salt, header.ssrc, roc, header.sequence);
    return this.#decryptGcm(
      cipherKey,
      packet.subarray(0, header.length),
      packet.subarray(header.length, end),
      packet.subarray(end),
    );
  }

  #decryptGcm(key: KeyObject, associated: Buffer, body: Buffer, tag: Buffer): Buffer | null {
    const decipher = createDecipheriv('aes-128-gcm', key, this.#iv, GCM_OPTIONS);
    decipher.setAAD(associated).setAuthTag(tag);
    const plain = decipher.update(body);
    try {
      decipher.final();
    } catch {
      return null;
    }
    return plain;
  }

  #openCm(packet: Buffer, header: RtpHeader, end: number, roc: number): Buffer | null {
    const { cipherKey, salt, authKey } = this.#keys.rtp;
    this.#roc.writeUInt32BE(roc);
    const tag = createHmac('sha1', authKey as KeyObject)
      .update(packet.subarray(0, end))
      .update(this.#roc)
      .digest();
    if (!timingSafeEqual(tag.subarray(0, HMAC_TAG_BYTES), packet.subarray(end))) return null;
    writeCmRtpIv(this.#iv, salt, header.ssrc, roc, header.sequence);
    return createDecipheriv('aes-128-ctr', cipherKey, this.#iv).update(packet.subarray(header.length, end));
  }

  /** Opens a compound RTCP packet into `out`; returns its length, or -1 when it is forged or replayed. */
  unprotectRtcp(packet: Buffer, out: Buffer): number {
    const trailerBytes = SRTCP_INDEX_BYTES + (this.#gcm ? GCM_TAG_BYTES : HMAC_TAG_BYTES);
    const end = packet.length - trailerBytes;
    if (end < RTCP_CLEAR_BYTES || packet.length > out.length) return -1;
    const ssrc = packet.readUInt32BE(4);
    const word = packet.readUInt32BE(this.#gcm ? packet.length - SRTCP_INDEX_BYTES : end);
    const index = word & MAX_SRTCP_INDEX;
    const known = this.#rtcp.get(ssrc);
    if (known !== undefined && !known.window.accepts(index)) return -1;
    const encrypted = (word & SRTCP_ENCRYPTED) !== 0;
    const plain = this.#gcm
      ? this.#openRtcpGcm(packet, end, ssrc, index, encrypted)
      : this.#openRtcpCm(packet, end, ssrc, index, encrypted);
    if (plain === null) return -1;
    this.#state(this.#rtcp, ssrc, known).window.record(index);
    packet.copy(out, 0, 0, RTCP_CLEAR_BYTES);
    return RTCP_CLEAR_BYTES + plain.copy(out, RTCP_CLEAR_BYTES);
  }

  /** RFC 7714 §9: the index word follows the tag and is authenticated; without encryption the body is too. */
  #openRtcpGcm(packet: Buffer, end: number, ssrc: number, index: number, encrypted: boolean): Buffer | null {
    const { cipherKey, salt } = this.#keys.rtcp;
    writeGcmRtcpIv(this.#iv, salt, ssrc, index);
    const word = packet.subarray(packet.length - SRTCP_INDEX_BYTES);
    const tag = packet.subarray(end, end + GCM_TAG_BYTES);
    const body = packet.subarray(RTCP_CLEAR_BYTES, end);
    const clear = packet.subarray(0, encrypted ? RTCP_CLEAR_BYTES : end);
    const plain = this.#decryptGcm(cipherKey, Buffer.concat([clear, word]), encrypted ? body : NO_BYTES, tag);
    return plain === null || encrypted ? plain : body;
  }

  #openRtcpCm(packet: Buffer, end: number, ssrc: number, index: number, encrypted: boolean): Buffer | null {
    const { cipherKey, salt, authKey } = this.#keys.rtcp;
    const authenticated = end + SRTCP_INDEX_BYTES;
    const tag = createHmac('sha1', authKey as KeyObject)
      .update(packet.subarray(0, authenticated))
      .digest();
    if (!timingSafeEqual(tag.subarray(0, HMAC_TAG_BYTES), packet.subarray(authenticated))) return null;
    const body = packet.subarray(RTCP_CLEAR_BYTES, end);
    if (!encrypted) return body;
    writeCmRtcpIv(this.#iv, salt, ssrc, index);
    return createDecipheriv('aes-128-ctr', cipherKey, this.#iv).update(body);
  }

  #state(table: Map<number, SsrcState>, ssrc: number, known: SsrcState | undefined): SsrcState {
    this.#uses++;
    if (known !== undefined) {
      known.usedAt = this.#uses;
      return known;
    }
    if (table.size >= MAX_SSRCS) forgetOldest(table);
    const state = { window: new ReplayWindow(), usedAt: this.#uses };
    table.set(ssrc, state);
    return state;
  }
}

function forgetOldest(table: Map<number, SsrcState>): void {
  let oldestSsrc = -1;
  let oldestUse = Number.POSITIVE_INFINITY;
  for (const [ssrc, state] of table) {
    if (state.usedAt < oldestUse) {
      oldestUse = state.usedAt;
      oldestSsrc = ssrc;
    }
  }
  table.delete(oldestSsrc);
}
