/**
 * `/node/records`: where media nodes hand in their recordings (`shared/protocol/records.ts` has the contract). Not for
 * browsers: it has no CORS and stands behind the nodes' own token.
 */
import { z } from 'zod';
import { ProblemError, unwrap } from '../../shared/errors.ts';
import type { NodeId } from '../../shared/ids.ts';
import {
  MAX_PARTS,
  PART_BYTES,
  type PartReceipt,
  type RecordId,
  recordBeginSchema,
  recordCompleteSchema,
  recordIdSchema,
  recordProgressSchema,
  recordUpdateSchema,
} from '../../shared/protocol/records.ts';
import { RECORDS_NAME } from '../env.ts';
import type { App, AppContext } from '../middleware/context.ts';
import { StoreError, UploadLostError } from '../records/object-store.ts';
import { storeFor } from '../records/open-store.ts';
import { readJson } from './json-body.ts';
import { emptyOk, noContent, type Resource, route } from './methods.ts';
import { requireNode } from './node-access.ts';

const PREFIX = '/node/records';
/** The receipts of as many parts as a file may have: more than other bodies. */
const MAX_COMPLETE_BYTES = 12 * 1024 * 1024;
const partSchema = z
  .string()
  .regex(/^[1-9]\d{0,4}$/)
  .transform(Number)
  .refine((part) => part <= MAX_PARTS);

export function nodeRecordRoutes(app: App): void {
  nodeRoute(app, PREFIX, {
    POST: async (c, node) => {
      const begin = await readJson(c, recordBeginSchema);
      unwrap(await records(c).begin({ node, begin }));
      return new Response(null, { status: 201, headers: { 'Content-Length': '0' } });
    },
    PATCH: async (c, node) => {
      const { records: told } = await readJson(c, recordProgressSchema);
      return c.json(await records(c).progress({ node, records: told }));
    },
  });

  nodeRoute(app, `${PREFIX}/:id`, {
    PATCH: async (c, node) => {
      const id = idOf(c);
      unwrap(await records(c).update({ node, id, update: await readJson(c, recordUpdateSchema) }));
      return emptyOk();
    },
  });

  nodeRoute(app, `${PREFIX}/:id/upload`, {
    POST: async (c, node) => c.json(unwrap(await records(c).upload({ node, id: idOf(c) }))),
    DELETE: async (c, node) => {
      unwrap(await records(c).abandon({ node, id: idOf(c) }));
      return noContent();
    },
  });

  nodeRoute(app, `${PREFIX}/:id/parts/:part`, {
    PUT: async (c, node) => c.json(await takePart(c, node, idOf(c), partOf(c))),
  });

  nodeRoute(app, `${PREFIX}/:id/parts/:part/url`, {
    POST: async (c, node) => c.json(unwrap(await records(c).partUrl({ node, id: idOf(c), part: partOf(c) }))),
  });

  nodeRoute(app, `${PREFIX}/:id/complete`, {
    POST: async (c, node) => {
      const id = idOf(c);
      unwrap(
        await records(c).complete({ node, id, complete: await readJson(c, recordCompleteSchema, MAX_COMPLETE_BYTES) }),
      );
      return emptyOk();
    },
  });
}

/**
 * The bytes go from the node's request into the store as they come: nothing of them is kept here.
 * @throws ProblemError 411, 413, 422 `bad_checksum`, 404, 409 `no_upload`, 503 `store_unreachable`
 */
async function takePart(c: AppContext, node: NodeId, id: RecordId, part: number): Promise<PartReceipt> {
  const { body, headers } = c.req.raw;
  const bytes = Number(headers.get('Content-Length') ?? 'none');
  if (!Number.isSafeInteger(bytes) || bytes <= 0 || body === null) {
    throw new ProblemError(411, 'length_required', 'a part must say its length');
  }
  if (bytes > PART_BYTES) throw new ProblemError(413, 'too_large', `a part has at most ${PART_BYTES} bytes`);
  const upload = unwrap(await records(c).part({ node, id }));
  const store = storeFor(c.env, upload.via);
  if (store === null || upload.via !== 'edge') {
    throw new ProblemError(409, 'presigned', 'parts of this upload go to the store itself: ask for a URL');
  }
  const digest = new crypto.DigestStream('MD5');
  const reader = digest.getWriter();
  // Not `tee`: its branches wait for each other, and the store wants a stream that knows its length.
  const digested = new TransformStream<Uint8Array, Uint8Array>({
    async transform(chunk, controller) {
      await reader.write(chunk);
      controller.enqueue(chunk);
    },
    flush: () => reader.close(),
  });
  const known = new FixedLengthStream(bytes);
  const stop = new AbortController();
  const [stored, sum] = await Promise.allSettled([
    store.putPart(upload, part, known.readable).catch((error: unknown) => {
      // Nobody reads on: the bytes that are still coming must not wait for it.
      stop.abort();
      throw error;
    }),
    body
      .pipeThrough(digested)
      .pipeTo(known.writable, { signal: stop.signal })
      .then(() => digest.digest),
  ]);
  if (stored.status === 'rejected' && stored.reason instanceof UploadLostError) {
    // Its time was over in the bucket, or somebody ended it there: what it had is gone.
    unwrap(await records(c).abandon({ node, id }));
    throw new ProblemError(409, 'no_upload', stored.reason.message);
  }
  if (stored.status === 'rejected' || sum.status === 'rejected') {
    if (stored.status === 'rejected') console.error('a part could not be stored', messageOf(stored.reason));
    throw new ProblemError(503, 'store_unreachable', 'the part could not be stored', { retryAfterSeconds: 5 });
  }
  const expected = headers.get('Content-MD5');
  if (expected !== null && expected !== base64(new Uint8Array(sum.value))) {
    // It was stored, but nobody has noted it: the right one takes its place.
    throw new ProblemError(422, 'bad_checksum', 'the bytes are not those that Content-MD5 names');
  }
  unwrap(await records(c).partStored({ node, id, uploadId: upload.uploadId, receipt: stored.value, bytes }));
  return stored.value;
}

type NodeHandler = (c: AppContext, node: NodeId) => Response | Promise<Response>;

function nodeRoute(
  app: App,
  path: string,
  handlers: Partial<Record<'POST' | 'PUT' | 'PATCH' | 'DELETE', NodeHandler>>,
): void {
  const resource: Resource = {};
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
    const handler = handlers[method];
    if (handler !== undefined) resource[method] = async (c) => handler(c, await requireNode(c));
  }
  route(app, path, resource);
}

function records(c: AppContext) {
  return c.env.RECORDS.getByName(RECORDS_NAME);
}

function idOf(c: AppContext): RecordId {
  const id = recordIdSchema.safeParse(c.req.param('id'));
  if (!id.success) throw new ProblemError(404, 'no_record', 'no such recording');
  return id.data;
}

function partOf(c: AppContext): number {
  const part = partSchema.safeParse(c.req.param('part'));
  if (!part.success) throw new ProblemError(400, 'invalid_part', `a part is numbered from 1 to ${MAX_PARTS}`);
  return part.data;
}

function base64(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes));
}

function messageOf(error: unknown): unknown {
  return error instanceof StoreError ? [error.message, error.cause] : error;
}
