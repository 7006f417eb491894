/**
 * Protects the packets of one SSRC to one viewer. Byte for byte what `SrtpSender` makes of them, at a fraction of the cost:
 * the keystream is made for several packets at once (`Keystream`), and the workbench does the rest of GCM.
 */
import { type Cipheriv, createHmac, type KeyObject } from 'node:crypto';
import { BLOCK_BYTES, ghashTables } from './ghash-tables.ts';
import { Keystream, openBlockCipher } from './keystream.ts';
import { keystreamBytes, type PacketWorkbench } from './packet-workbench.ts';
import type { SessionKeys } from './session-keys.ts';
import { GCM_TAG_BYTES, HMAC_TAG_BYTES } from './srtp-sender.ts';

const LOW_16 = 0x10000;
const ROC_BYTES = 4;

/** What all streams of a session share. */
export class SrtpStreams {
  readonly keys: SessionKeys;
  readonly cipher: Cipheriv;
  readonly workbench: PacketWorkbench;
  /** Null without GCM. */
  readonly tables: Buffer | null;

  constructor(keys: SessionKeys, workbench: PacketWorkbench) {
    this.keys = keys;
    this.cipher = openBlockCipher(keys);
    this.workbench = workbench;
    const isGcm = keys.profile === 'AEAD_AES_128_GCM';
    this.tables = isGcm ? ghashTables(this.cipher.update(Buffer.alloc(BLOCK_BYTES))) : null;
  }

  open(ssrc: number): SrtpStream {
    return new SrtpStream(this, ssrc);
  }
}

export class SrtpStream {
  readonly #session: SrtpStreams;
  readonly #workbench: PacketWorkbench;
  readonly #keystream: Keystream;

  constructor(session: SrtpStreams, ssrc: number) {
    this.#session = session;
    this.#workbench = session.workbench;
    this.#keystream = new Keystream(session.keys, session.cipher, ssrc);
  }

  /**
   * Completes the packet on the workbench, where its payload is loaded and the first `headerLength` bytes are its RTP header:
   * appends the encrypted payload and the tag. Returns the length of the whole. Its number is the extended one; the caller
   * must never use one number for two different packets.
   * @throws RangeError when the header is longer than any packet's
   */
  protect(headerLength: number, extSequence: number): number {
    const { tables } = this.#session;
    const workbench = this.#workbench;
    const keystream = this.#keystream;
    const end = headerLength + workbench.payloadLength;
    if (tables !== null) {
      keystream.seek(extSequence, keystreamBytes(workbench.payloadLength, 1));
      workbench.seal(headerLength, tables, keystream.bytes, keystream.start);
      return end + GCM_TAG_BYTES;
    }
    keystream.seek(extSequence, keystreamBytes(workbench.payloadLength, 0));
    workbench.encrypt(headerLength, keystream.bytes, keystream.start);
    return this.#tagByHmac(workbench.out, end, extSequence);
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
