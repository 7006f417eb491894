/** Initial vectors of SRTP and SRTCP, written into reusable buffers (OpenSSL copies them when a cipher starts). */

export const GCM_IV_BYTES = 12;
export const CM_IV_BYTES = 16;

/** RFC 7714 §8.1: `00 00 | SSRC | ROC | SEQ` XOR salt. */
export function writeGcmRtpIv(iv: Buffer, salt: Buffer, ssrc: number, roc: number, sequence: number): void {
  iv[0] = salt[0] as number;
  iv[1] = salt[1] as number;
  xorWord(iv, salt, 2, ssrc);
  xorWord(iv, salt, 6, roc);
  iv[10] = (salt[10] as number) ^ (sequence >>> 8);
  iv[11] = (salt[11] as number) ^ (sequence & 0xff);
}

/** RFC 7714 §9.1: `00 00 | SSRC | 00 00 | index` XOR salt. */
export function writeGcmRtcpIv(iv: Buffer, salt: Buffer, ssrc: number, index: number): void {
  iv[0] = salt[0] as number;
  iv[1] = salt[1] as number;
  xorWord(iv, salt, 2, ssrc);
  iv[6] = salt[6] as number;
  iv[7] = salt[7] as number;
  xorWord(iv, salt, 8, index);
}

/** RFC 3711 §4.1.1: `(salt << 16) XOR (SSRC << 64) XOR (index << 16)`, the index being `ROC | SEQ`. */
export function writeCmRtpIv(iv: Buffer, salt: Buffer, ssrc: number, roc: number, sequence: number): void {
  copySalt(iv, salt);
  xorWord(iv, salt, 4, ssrc);
  xorWord(iv, salt, 8, roc);
  iv[12] = (salt[12] as number) ^ (sequence >>> 8);
  iv[13] = (salt[13] as number) ^ (sequence & 0xff);
}

/** As for RTP, with the 31-bit SRTCP index. */
export function writeCmRtcpIv(iv: Buffer, salt: Buffer, ssrc: number, index: number): void {
  copySalt(iv, salt);
  xorWord(iv, salt, 4, ssrc);
  xorWord(iv, salt, 10, index);
}

function copySalt(iv: Buffer, salt: Buffer): void {
  for (let i = 0; i < 14; i++) iv[i] = salt[i] as number;
  iv[14] = 0;
  iv[15] = 0;
}

function xorWord(iv: Buffer, salt: Buffer, offset: number, value: number): void {
  iv[offset] = (salt[offset] as number) ^ (value >>> 24);
  iv[offset + 1] = (salt[offset + 1] as number) ^ ((value >>> 16) & 0xff);
  iv[offset + 2] = (salt[offset + 2] as number) ^ ((value >>> 8) & 0xff);
  iv[offset + 3] = (salt[offset + 3] as number) ^ (value & 0xff);
}
