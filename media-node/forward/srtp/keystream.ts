/**
 * AES counter-mode keystream of one stream to one viewer (RFC 3711 §4.1.1; the encrypting half of RFC 7714), made for
 * several packets to come in one call of OpenSSL. To start a cipher per packet, and to be handed each result in memory of
 * its own, costs node:crypto six times what AES does; a keystream needs numbers only, and those are known beforehand.
 *
 * It is one ECB cipher that lives as long as the session and encrypts counter blocks, which is what counter mode is.
 */
import { type Cipheriv, createCipheriv } from 'node:crypto';
import { BLOCK_BYTES } from './ghash-tables.ts';
import { CM_IV_BYTES, writeCmRtpIv, writeGcmRtpIv } from './initial-vectors.ts';
import { MAX_PAYLOAD_BYTES } from './packet-workbench-code.ts';
import type { SessionKeys } from './session-keys.ts';

const BLOCK_WORDS = 4;
const WORD_BYTES = 4;
const LOW_16 = 0x10000;
/** More saves little, and each is memory of every viewer. */
const PACKETS_AHEAD = 8;
/** Payloads differ a little; one that is longer than what was made costs a new run. */
const SPARE_BLOCKS = 1;
/** The first block of GCM's is for the tag. */
const MAX_BLOCKS = MAX_PAYLOAD_BYTES / BLOCK_BYTES + 1;
/** GCM's E(J0), which the tag takes, has counter 1, and the payload goes on from there (NIST SP 800-38D §7.1). */
const GCM_FIRST_COUNTER = 1;

/** The counter of each block where it stands in the last word, in the machine's own byte order. */
const gcmCounters = counterWords(GCM_FIRST_COUNTER);
const cmCounters = counterWords(0);
/** Counter blocks on their way into the cipher. */
const blocks = new Uint32Array(PACKETS_AHEAD * MAX_BLOCKS * BLOCK_WORDS);
const blockBytes = Buffer.from(blocks.buffer);
const iv = new Uint32Array(BLOCK_WORDS);
const ivBytes = Buffer.from(iv.buffer);

function counterWords(first: number): Uint32Array {
  const bytes = Buffer.alloc(MAX_BLOCKS * WORD_BYTES);
  for (let block = 0; block < MAX_BLOCKS; block++) bytes.writeUInt32BE(first + block, block * WORD_BYTES);
  return new Uint32Array(bytes.buffer, bytes.byteOffset, MAX_BLOCKS).slice();
}

/**
 * Frees memory that node:crypto handed out, now. V8 counts it, and marked its whole heap because of it 84 times in a run of
 * `test/bench/forward.bench.ts` (now 4), which was a fifth of a node with 100 viewers.
 */
function giveBack({ buffer }: Buffer): void {
  const memory = buffer as ArrayBuffer;
  if (!memory.detached) memory.transfer(0);
}

/** The cipher of a session: all of its streams share it. */
export function openBlockCipher(keys: SessionKeys): Cipheriv {
  const cipher = createCipheriv('aes-128-ecb', keys.rtp.cipherKey, null);
  cipher.setAutoPadding(false);
  return cipher;
}

export class Keystream {
  readonly #cipher: Cipheriv;
  readonly #salt: Buffer;
  readonly #gcm: boolean;
  readonly #ssrc: number;
  /** Index (`ROC | SEQ`) of the first packet of `#made`, and how many follow. */
  #first = -1;
  #packets = 0;
  /** Bytes of each. */
  #stride = 0;
  #made: Buffer = Buffer.from(new ArrayBuffer(0));
  /** What `seek` found: a keystream, and where in it the packet's begins. */
  bytes: Buffer = this.#made;
  start = 0;

  constructor(keys: SessionKeys, cipher: Cipheriv, ssrc: number) {
    this.#cipher = cipher;
    this.#salt = keys.rtp.salt;
    this.#gcm = keys.profile === 'AEAD_AES_128_GCM';
    this.#ssrc = ssrc;
  }

  /** Finds, or makes, so many bytes (whole blocks) of the keystream of the packet with this index (`ROC | SEQ`). */
  seek(index: number, bytes: number): void {
    if (bytes > MAX_BLOCKS * BLOCK_BYTES) throw new RangeError(`${bytes} bytes are longer than any packet`);
    const ahead = index - this.#first;
    if (ahead >= 0 && ahead < this.#packets && bytes <= this.#stride) {
      this.bytes = this.#made;
      this.start = ahead * this.#stride;
    } else if (index < this.#first) {
      // A packet again, or one that came late: what was made for those to come stays.
      if (this.bytes !== this.#made) giveBack(this.bytes);
      this.bytes = this.#make(index, 1, bytes);
      this.start = 0;
    } else {
      // Whatever may go wrong: what has been given back is not found again.
      this.#packets = 0;
      if (this.bytes !== this.#made) giveBack(this.bytes);
      giveBack(this.#made);
      this.#stride = Math.min(MAX_BLOCKS, bytes / BLOCK_BYTES + SPARE_BLOCKS) * BLOCK_BYTES;
      this.#made = this.#make(index, PACKETS_AHEAD, this.#stride);
      this.#first = index;
      this.#packets = PACKETS_AHEAD;
      this.bytes = this.#made;
      this.start = 0;
    }
  }

  #make(index: number, packets: number, stride: number): Buffer {
    const counters = this.#gcm ? gcmCounters : cmCounters;
    const perPacket = stride / BLOCK_BYTES;
    let at = 0;
    for (let packet = index; packet < index + packets; packet++) {
      this.#writeIv(Math.floor(packet / LOW_16), packet % LOW_16);
      const [first, second, third, last] = iv as unknown as [number, number, number, number];
      for (let block = 0; block < perPacket; block++) {
        blocks[at] = first;
        blocks[at + 1] = second;
        blocks[at + 2] = third;
        blocks[at + 3] = last | (counters[block] as number);
        at += BLOCK_WORDS;
      }
    }
    return this.#cipher.update(blockBytes.subarray(0, at * WORD_BYTES));
  }

  #writeIv(roc: number, sequence: number): void {
    if (this.#gcm) {
      iv[3] = 0;
      writeGcmRtpIv(ivBytes, this.#salt, this.#ssrc, roc >>> 0, sequence);
    } else {
      ivBytes.fill(0, 0, CM_IV_BYTES);
      writeCmRtpIv(ivBytes, this.#salt, this.#ssrc, roc >>> 0, sequence);
    }
  }
}
