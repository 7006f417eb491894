/**
 * Protects the packets of one SSRC to one viewer. Byte for byte what `SrtpSender` makes of them, at a fraction of the cost:
 * the keystream is made for several packets at once (`Keystream`), and the workbench does the rest of GCM.
 */
import type { Cipheriv, KeyObject } from 'node:crypto';
import { BLOCK_BYTES, ghashTables } from './ghash-tables.ts';
import { Keystream, openBlockCipher } from './keystream.ts';
import { type HmacBlocks, hmacBlocks, keystreamBytes, type PacketWorkbench } from './packet-workbench.ts';
import type { SessionKeys } from './session-keys.ts';
import { GCM_TAG_BYTES, HMAC_TAG_BYTES } from './srtp-sender.ts';

const LOW_16 = 0x10000;
const ROC_BYTES = 4;

/** What all streams of a session share. */
export class SrtpStreams {
  readonly keys: SessionKeys;
  readonly cipher: Cipheriv;
  readonly workbench: PacketWorkbench;
  /** How tags are made: by tables of GCM's hash key, or by the key of HMAC. */
  readonly tagKey: { readonly tables: Buffer } | { readonly tables: null; readonly blocks: HmacBlocks };

  constructor(keys: SessionKeys, workbench: PacketWorkbench) {
    this.keys = keys;
    this.cipher = openBlockCipher(keys);
    this.workbench = workbench;
    this.tagKey =
      keys.profile === 'AEAD_AES_128_GCM'
        ? { tables: ghashTables(this.cipher.update(Buffer.alloc(BLOCK_BYTES))) }
        : { tables: null, blocks: hmacBlocks((keys.rtp.authKey as KeyObject).export()) };
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
    const { tagKey } = this.#session;
    const workbench = this.#workbench;
    const keystream = this.#keystream;
    const end = headerLength + workbench.payloadLength;
    if (tagKey.tables !== null) {
      keystream.seek(extSequence, keystreamBytes(workbench.payloadLength, 1));
      workbench.seal(headerLength, tagKey.tables, keystream.bytes, keystream.start);
      return end + GCM_TAG_BYTES;
    }
    keystream.seek(extSequence, keystreamBytes(workbench.payloadLength, 0));
    workbench.encrypt(headerLength, keystream.bytes, keystream.start);
    const { out } = workbench;
    // The rollover counter is authenticated behind the packet (RFC 3711 §4.2); the tag takes its place.
    out.writeUInt32BE(Math.floor(extSequence / LOW_16) >>> 0, end);
    out.write(workbench.authenticate(tagKey.blocks, end + ROC_BYTES), end, HMAC_TAG_BYTES, 'latin1');
    return end + HMAC_TAG_BYTES;
  }
}
