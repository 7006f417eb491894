/**
 * Where a packet is put together and protected, one at a time: memory that JavaScript and WebAssembly share. A payload that
 * goes to many viewers is laid into it once.
 */
import { hash } from 'node:crypto';
import { BLOCK_BYTES, TABLES_BYTES } from './ghash-tables.ts';
import {
  assembleWorkbench,
  HMAC_BLOCK_BYTES,
  MASK_BYTES,
  MAX_HEADER_BYTES,
  MAX_PAYLOAD_BYTES,
  WORKBENCH,
  WORKBENCH_OUT_BYTES,
  type WorkbenchExports,
} from './packet-workbench-code.ts';

/** Node has it; the types for it come with those of browsers only. */
interface WebAssemblyApi {
  readonly Module: new (code: Uint8Array<ArrayBuffer>) => object;
  readonly Memory: new (pages: { initial: number; maximum: number }) => { readonly buffer: ArrayBuffer };
  readonly Instance: new (
    module: object,
    imports: { env: { memory: object } },
  ) => { readonly exports: WorkbenchExports };
}
const { Module, Memory, Instance } = (globalThis as unknown as { WebAssembly: WebAssemblyApi }).WebAssembly;

const SHA1_BYTES = 20;
const INNER_BYTE = 0x36;
const OUTER_BYTE = 0x5c;

/** A key of HMAC-SHA1, made ready: both blocks of RFC 2104. */
export interface HmacBlocks {
  readonly inner: Buffer;
  readonly outer: Buffer;
}

/** @param key at most a block long */
export function hmacBlocks(key: Buffer): HmacBlocks {
  const block = (fill: number): Buffer => {
    const bytes = Buffer.alloc(HMAC_BLOCK_BYTES, fill);
    for (let i = 0; i < key.length; i++) bytes[i] = (key[i] as number) ^ fill;
    return bytes;
  };
  return { inner: block(INNER_BYTE), outer: block(OUTER_BYTE) };
}

let compiled: object | null = null;

export class PacketWorkbench {
  /** The packet: its header is written here, and what `seal` and `encrypt` add to it. */
  readonly out: Buffer;
  payloadLength = 0;
  readonly #memory: Buffer;
  readonly #code: WorkbenchExports;
  /** HMAC's inner block and so many bytes of the packet: a view costs more to make than to keep. */
  readonly #innerViews: Buffer[] = [];
  readonly #outer = Buffer.alloc(HMAC_BLOCK_BYTES + SHA1_BYTES);

  constructor() {
    compiled ??= new Module(assembleWorkbench());
    const memory = new Memory({ initial: 1, maximum: 1 });
    this.#code = new Instance(compiled, { env: { memory } }).exports;
    this.#memory = Buffer.from(memory.buffer);
    this.out = this.#memory.subarray(WORKBENCH.out, WORKBENCH.out + WORKBENCH_OUT_BYTES);
    MASK_BYTES.copy(this.#memory, WORKBENCH.masks);
  }

  /** @throws RangeError when it is longer than any packet */
  load(payload: Buffer): void {
    if (payload.length > MAX_PAYLOAD_BYTES) throw new RangeError(`a payload of ${payload.length} bytes is too long`);
    this.payloadLength = payload.copy(this.#memory, WORKBENCH.payload);
  }

  /**
   * AES-GCM: behind the header in `out`, the loaded payload's ciphertext and the tag over both.
   * @param tables of the session (`ghashTables`)
   * @param keystream E(J0) and then the payload's, from `start` on
   * @throws RangeError when the header is too long
   */
  seal(headerLength: number, tables: Buffer, keystream: Buffer, start: number): void {
    checkHeader(headerLength);
    tables.copy(this.#memory, WORKBENCH.tables, 0, TABLES_BYTES);
    this.#takeKeystream(keystream, start, 1);
    this.#code.seal(headerLength, this.payloadLength);
  }

  /** Counter mode: behind the header in `out`, the loaded payload's ciphertext. @throws RangeError as `seal` does */
  encrypt(headerLength: number, keystream: Buffer, start: number): void {
    checkHeader(headerLength);
    this.#takeKeystream(keystream, start, 0);
    this.#code.encrypt(headerLength, this.payloadLength);
  }

  /**
   * HMAC-SHA1 over the first `bytes` of `out`, 20 characters of latin1. By two plain hashes and as text: an `Hmac` of
   * node:crypto and buffers for its result cost twice that.
   */
  authenticate({ inner, outer }: HmacBlocks, bytes: number): string {
    inner.copy(this.#memory, WORKBENCH.inner);
    this.#innerViews[bytes] ??= this.#memory.subarray(WORKBENCH.inner, WORKBENCH.out + bytes);
    outer.copy(this.#outer);
    this.#outer.write(hash('sha1', this.#innerViews[bytes] as Buffer, 'latin1'), HMAC_BLOCK_BYTES, 'latin1');
    return hash('sha1', this.#outer, 'latin1');
  }

  #takeKeystream(keystream: Buffer, start: number, extraBlocks: number): void {
    const bytes = keystreamBytes(this.payloadLength, extraBlocks);
    // Fewer would leave another packet's, and a keystream that is used twice gives both plaintexts away.
    if (keystream.copy(this.#memory, WORKBENCH.keystream, start, start + bytes) !== bytes) {
      throw new RangeError('the keystream is shorter than the payload');
    }
  }
}

/** Whole blocks for a payload of so many bytes. */
export function keystreamBytes(payloadLength: number, extraBlocks: number): number {
  return (Math.ceil(payloadLength / BLOCK_BYTES) + extraBlocks) * BLOCK_BYTES;
}

function checkHeader(headerLength: number): void {
  if (headerLength > MAX_HEADER_BYTES) throw new RangeError('the RTP header is too long');
}
