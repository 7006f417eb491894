/** Writes WebAssembly modules: the handful of instructions and sections that we use (WebAssembly core specification 3.0). */

const MAGIC_AND_VERSION = [0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00];
const SECTION = { type: 1, import: 2, function: 3, export: 7, code: 10 } as const;
const FUNCTION_TYPE = 0x60;
const I32 = 0x7f;
const V128 = 0x7b;
const VOID = 0x40;
const END = 0x0b;
const KIND_FUNCTION = 0;
const KIND_MEMORY = 2;
const NO_MAXIMUM = 0;
/** Alignment is a hint only. */
const UNALIGNED = 0;
const VECTOR = 0xfd;

/** An instruction, or several in a row. */
export type Code = readonly number[];

function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  do {
    const more = rest >>> 7 !== 0;
    bytes.push((rest & 0x7f) | (more ? 0x80 : 0));
    rest >>>= 7;
  } while (rest !== 0);
  return bytes;
}

function signed(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (;;) {
    const byte = rest & 0x7f;
    rest >>= 7;
    const done = (rest === 0 && (byte & 0x40) === 0) || (rest === -1 && (byte & 0x40) !== 0);
    bytes.push(done ? byte : byte | 0x80);
    if (done) return bytes;
  }
}

function vector(items: readonly Code[]): Code {
  return [...unsigned(items.length), ...items.flat()];
}

function text(name: string): Code {
  return vector([...Buffer.from(name, 'latin1')].map((byte) => [byte]));
}

function section(id: number, items: readonly Code[]): Code {
  const body = vector(items);
  return [id, ...unsigned(body.length), ...body];
}

const vectorOp =
  (opcode: number) =>
  (...operands: readonly Code[]): Code => [...operands.flat(), VECTOR, ...unsigned(opcode)];
const plainOp =
  (opcode: number) =>
  (...operands: readonly Code[]): Code => [...operands.flat(), opcode];

/** Instructions with their operands before them, as the stack machine wants them; addresses are bytes. */
export const i32 = {
  const: (value: number): Code => [0x41, ...signed(value)],
  add: plainOp(0x6a),
  sub: plainOp(0x6b),
  and: plainOp(0x71),
  or: plainOp(0x72),
  shl: plainOp(0x74),
  shrU: plainOp(0x76),
  ltU: plainOp(0x49),
  store16: (address: Code, value: Code, offset = 0): Code => [
    ...address,
    ...value,
    0x3b,
    UNALIGNED,
    ...unsigned(offset),
  ],
} as const;

export const v128 = {
  load: (address: Code, offset = 0): Code => [...address, VECTOR, 0x00, UNALIGNED, ...unsigned(offset)],
  store: (address: Code, value: Code, offset = 0): Code => [
    ...address,
    ...value,
    VECTOR,
    0x0b,
    UNALIGNED,
    ...unsigned(offset),
  ],
  /** All 16 bytes the same. */
  bytes: (byte: number): Code => [VECTOR, 0x0c, ...new Array<number>(16).fill(byte)],
  /** `lanes` count through the bytes of `a`, then through those of `b`. */
  shuffle: (a: Code, b: Code, lanes: readonly number[]): Code => [...a, ...b, VECTOR, 0x0d, ...lanes],
  /** Of `table` the bytes that `indices` name, each below 16. */
  swizzle: vectorOp(0x100),
  and: vectorOp(0x4e),
  xor: vectorOp(0x51),
  /** Of each half word. */
  shl16: vectorOp(0x8b),
  shrU16: vectorOp(0x8d),
} as const;

export const local = {
  get: (index: number): Code => [0x20, ...unsigned(index)],
  set: (index: number, value: Code): Code => [...value, 0x21, ...unsigned(index)],
} as const;

export function when(condition: Code, then: Code): Code {
  return [...condition, 0x04, VOID, ...then, END];
}

/** Runs `body` until `again` is 0 behind it. */
export function repeat(body: Code, again: Code): Code {
  return [0x03, VOID, ...body, ...again, 0x0d, 0, END];
}

export interface FunctionCode {
  readonly name: string;
  /** Numbers; they are the first locals. */
  readonly parameters: number;
  /** The next locals. */
  readonly numbers: number;
  /** The last locals. */
  readonly vectors: number;
  readonly body: Code;
}

/** A module that imports its memory as `env.memory` and exports the functions, which return nothing. */
export function assemble(functions: readonly FunctionCode[]): Uint8Array<ArrayBuffer> {
  const types = functions.map(({ parameters }) => [
    FUNCTION_TYPE,
    ...vector(new Array<Code>(parameters).fill([I32])),
    0,
  ]);
  const bodies = functions.map(({ numbers, vectors, body }) => {
    const locals = vector([
      [...unsigned(numbers), I32],
      [...unsigned(vectors), V128],
    ]);
    const code = [...locals, ...body, END];
    return [...unsigned(code.length), ...code];
  });
  return Uint8Array.from([
    ...MAGIC_AND_VERSION,
    ...section(SECTION.type, types),
    ...section(SECTION.import, [[...text('env'), ...text('memory'), KIND_MEMORY, NO_MAXIMUM, 1]]),
    ...section(
      SECTION.function,
      functions.map((_, index) => unsigned(index)),
    ),
    ...section(
      SECTION.export,
      functions.map(({ name }, index) => [...text(name), KIND_FUNCTION, ...unsigned(index)]),
    ),
    ...section(SECTION.code, bodies),
  ]);
}
