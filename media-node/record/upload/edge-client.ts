/** Speaks to the edge about recordings: `shared/protocol/records.ts`. */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { Readable } from 'node:stream';
import { z } from 'zod';
import type { NodeId } from '../../../shared/ids.ts';
import {
  type PartReceipt,
  partReceiptSchema,
  partUrlSchema,
  progressAnswerSchema,
  type RecordBegin,
  type RecordComplete,
  type RecordId,
  type RecordProgress,
  type RecordUpdate,
  type UploadPlan,
  uploadPlanSchema,
} from '../../../shared/protocol/records.ts';

const REQUEST_TIMEOUT_MS = 30_000;
/** A part at 0.25 Mb/s. */
const PART_TIMEOUT_MS = 600_000;
const MAX_ANSWER_CHARACTERS = 300;
const problemSchema = z.object({ code: z.string(), detail: z.string().default('') });
/** How S3 names an error. The rest of its words is not repeated: they hold key ids and signatures. */
const S3_CODE = /<Code>([A-Za-z]{1,64})<\/Code>/;

/** The edge or the store said no. */
export class RefusedError extends Error {
  override readonly name = 'RefusedError';
  readonly status: number;
  /** Of the edge's problem, or as S3 names its error; empty when the answer was of neither. */
  readonly code: string;

  constructor(status: number, code: string, message: string) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

export interface EdgeClientOptions {
  edgeUrl: string;
  token: string;
  node: NodeId;
}

/** A stretch of a file. */
export interface FilePart {
  path: string;
  start: number;
  bytes: number;
}

/** All methods throw `RefusedError` for a refusal, and whatever `fetch` throws when nobody answers. */
export class EdgeClient {
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor({ edgeUrl, token, node }: EdgeClientOptions) {
    const url = new URL(edgeUrl);
    url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'https:' : 'http:';
    this.#base = new URL('/node/records', url).href;
    this.#headers = { authorization: `Bearer ${token}`, 'vestibule-node': node };
  }

  async begin(begin: RecordBegin, signal: AbortSignal): Promise<void> {
    await this.#json('POST', '', begin, signal);
  }

  async update(id: RecordId, update: RecordUpdate, signal: AbortSignal): Promise<void> {
    await this.#json('PATCH', `/${id}`, update, signal);
  }

  /** How far many of them have come. Resolves with those of which the edge wants to hear nothing. */
  async progress(records: readonly RecordProgress[], signal: AbortSignal): Promise<RecordId[]> {
    return progressAnswerSchema.parse(await this.#json('PATCH', '', { records }, signal)).refused;
  }

  async plan(id: RecordId, signal: AbortSignal): Promise<UploadPlan> {
    return uploadPlanSchema.parse(await this.#json('POST', `/${id}/upload`, null, signal));
  }

  async complete(id: RecordId, complete: RecordComplete, signal: AbortSignal): Promise<void> {
    await this.#json('POST', `/${id}/complete`, complete, signal);
  }

  async abandon(id: RecordId, signal: AbortSignal): Promise<void> {
    await this.#json('DELETE', `/${id}/upload`, null, signal);
  }

  async put(
    id: RecordId,
    via: UploadPlan['via'],
    part: number,
    from: FilePart,
    signal: AbortSignal,
  ): Promise<PartReceipt> {
    return via === 'edge'
      ? await this.#putToEdge(id, part, from, signal)
      : await this.#putToStore(id, part, from, signal);
  }

  async #putToEdge(id: RecordId, part: number, from: FilePart, signal: AbortSignal): Promise<PartReceipt> {
    const md5 = await digest(from);
    const headers = { ...this.#headers, 'content-md5': md5.toString('base64') };
    const answer = await sendPart(`${this.#base}/${id}/parts/${part}`, headers, from, signal);
    return partReceiptSchema.parse(await answer.json());
  }

  async #putToStore(id: RecordId, part: number, from: FilePart, signal: AbortSignal): Promise<PartReceipt> {
    const md5 = await digest(from);
    const { url, headers } = partUrlSchema.parse(await this.#json('POST', `/${id}/parts/${part}/url`, null, signal));
    const answer = await sendPart(url, { ...headers, 'content-md5': md5.toString('base64') }, from, signal);
    await answer.body?.cancel();
    const etag = answer.headers.get('etag');
    if (etag === null) throw new Error('the store gave no ETag for a part');
    return { part, etag };
  }

  async #json(method: string, path: string, body: unknown, signal: AbortSignal): Promise<unknown> {
    const answer = await fetch(`${this.#base}${path}`, {
      method,
      headers: body === null ? this.#headers : { ...this.#headers, 'content-type': 'application/json' },
      body: body === null ? null : JSON.stringify(body),
      signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]),
    });
    const text = await answer.text();
    if (!answer.ok) throw refused(answer.status, text);
    return text === '' ? null : JSON.parse(text);
  }
}

/** Straight from the disk: the part is never in memory. */
async function sendPart(
  url: string,
  headers: Record<string, string>,
  { path, start, bytes }: FilePart,
  signal: AbortSignal,
): Promise<Response> {
  const stream = createReadStream(path, { start, end: start + bytes - 1 });
  try {
    const answer = await fetch(url, {
      method: 'PUT',
      headers: { ...headers, 'content-length': String(bytes) },
      body: Readable.toWeb(stream) as ReadableStream<Uint8Array>,
      duplex: 'half',
      signal: AbortSignal.any([signal, AbortSignal.timeout(PART_TIMEOUT_MS)]),
    });
    if (!answer.ok) throw refused(answer.status, await answer.text());
    return answer;
  } finally {
    stream.destroy();
  }
}

async function digest({ path, start, bytes }: FilePart): Promise<Buffer> {
  const hash = createHash('md5');
  for await (const chunk of createReadStream(path, { start, end: start + bytes - 1 })) hash.update(chunk as Buffer);
  return hash.digest();
}

function refused(status: number, text: string): RefusedError {
  let code = S3_CODE.exec(text)?.[1] ?? '';
  let words = code;
  try {
    const problem = problemSchema.parse(JSON.parse(text));
    code = problem.code;
    words = `${code} ${problem.detail}`.replaceAll(/\s+/g, ' ').slice(0, MAX_ANSWER_CHARACTERS);
  } catch {
    // No problem of ours: a proxy, or the store.
  }
  return new RefusedError(status, code, `HTTP ${status} ${words}`.trim());
}
