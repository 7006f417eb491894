/**
 * Where a packet is put together and protected, one at a time: memory that JavaScript and WebAssembly share. A payload that
 * goes to many viewers is laid into it once.
 */
import { TABLES_BYTES } from './ghash-tables.ts';
import {
  assembleWorkbench,
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

let compiled: object | null = null;

export class PacketWorkbench {
  /** The packet: its header is written here, and what `seal` and `encrypt` add to it. */
  readonly out: Buffer;
  payloadLength = 0;
  readonly #memory: Buffer;
  readonly #code: WorkbenchExports;

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
  return ((payloadLength + 15) & ~15) + extraBlocks * 16;
}

function checkHeader(headerLength: number): void {
  if (headerLength > MAX_HEADER_BYTES) throw new RangeError('the RTP header is too long');
}
