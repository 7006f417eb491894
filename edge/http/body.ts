import { ProblemError } from '../../shared/errors.ts';

/** Browser offers reach 12 KiB; this is room enough for anything real. */
export const MAX_SDP_BYTES = 64 * 1024;

/**
 * The body as text. What counts are the bytes that arrive, not what `Content-Length` claims.
 * @throws ProblemError 413 `too_large`, 415 `unsupported_encoding`, 400 `bad_text` when it is not UTF-8 or ends early
 */
export async function readText(request: Request, maxBytes: number): Promise<string> {
  const coding = request.headers.get('Content-Encoding');
  if (coding !== null && coding.trim().toLowerCase() !== 'identity' && coding.trim() !== '') {
    throw new ProblemError(415, 'unsupported_encoding', 'the body must not be encoded', {
      headers: { 'Accept-Encoding': 'identity' },
    });
  }
  if (Number(request.headers.get('Content-Length') ?? '0') > maxBytes) throw tooLarge(maxBytes);
  const bytes = await readBytes(request.body, maxBytes);
  try {
    // A byte order mark is dropped.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes);
  } catch {
    throw new ProblemError(400, 'bad_text', 'the body is not UTF-8 text');
  }
}

async function readBytes(body: ReadableStream<Uint8Array> | null, maxBytes: number): Promise<Uint8Array> {
  if (body === null) return new Uint8Array();
  const reader = body.getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read().catch(brokenOff);
    if (done) break;
    length += value.byteLength;
    if (length > maxBytes) {
      // Nobody waits for the rest; a client that goes on sending is cut off by the runtime.
      void reader.cancel().catch(() => undefined);
      throw tooLarge(maxBytes);
    }
    chunks.push(value);
  }
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    joined.set(chunk, offset);
    offset += chunk.byteLength;
  }
  return joined;
}

/** The client went away or broke its own framing: its fault, not ours. */
function brokenOff(): never {
  throw new ProblemError(400, 'bad_text', 'the body ended early');
}

function tooLarge(maxBytes: number): ProblemError {
  return new ProblemError(413, 'too_large', `the body may have at most ${maxBytes} bytes`);
}
