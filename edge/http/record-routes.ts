/** The catalogue of recordings: listed and deleted by operators, fetched by them or by whoever has a link. */
import { z } from 'zod';
import { ProblemError, unwrap } from '../../shared/errors.ts';
import { roomLobbyId, roomNameSchema, roomOfLobby, streamOfLobby } from '../../shared/ids.ts';
import { recordNameSchema } from '../../shared/protocol/records.ts';
import { RECORDS_NAME } from '../env.ts';
import { requireAdmin } from '../middleware/auth.ts';
import { type App, type AppContext, settingsOf } from '../middleware/context.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import { readByteRange } from '../records/byte-range.ts';
import { StoreError } from '../records/object-store.ts';
import { storeFor } from '../records/open-store.ts';
import type { RecordEntry } from '../records/record.ts';
import { isRecordLinkGood, writeRecordLink } from '../records/record-link.ts';
import { readJson } from './json-body.ts';
import { emptyOk, route } from './methods.ts';
import { invalidRoom } from './room-name.ts';

const NO_STORE = { 'Cache-Control': 'no-store' };
const DEFAULT_PAGE = 100;
const MAX_PAGE = 500;
/** Links in a list are for the page that shows it; whoever wants to pass one on asks for a longer one. */
const LISTED_LINK_MS = 3_600_000;
const DEFAULT_LINK_SECONDS = 3_600;
const MAX_LINK_SECONDS = 7 * 86_400;

export const linkSchema = z
  .strictObject({ expiresInSeconds: z.int().min(1).max(MAX_LINK_SECONDS).default(DEFAULT_LINK_SECONDS) })
  .meta({ examples: [{ expiresInSeconds: DEFAULT_LINK_SECONDS }] });

export function recordRoutes(app: App): void {
  route(app, '/api/records', {
    GET: async (c) => {
      limitRate(c);
      await requireAdmin(c);
      const { lobby, before, limit } = queryOf(c);
      const { records: page, more } = await records(c).list({ lobby, before, limit });
      const list = await Promise.all(page.map((entry) => shown(c, entry)));
      const last = page.at(-1);
      const headers: Record<string, string> = { ...NO_STORE };
      if (more && last !== undefined) headers.Link = `<${nextPage(c, last)}>; rel="next"`;
      return c.json(list, 200, headers);
    },
  });

  route(app, '/api/records/:name/link', {
    POST: async (c) => {
      limitRate(c);
      await requireAdmin(c);
      const { expiresInSeconds } = await readJson(c, linkSchema);
      const entry = await found(c);
      const expiresAt = Date.now() + expiresInSeconds * 1000;
      const path = await writeRecordLink(entry.name, expiresAt, settingsOf(c).sessionSecret);
      const url = new URL(path, settingsOf(c).publicUrl ?? c.req.url).href;
      return c.json({ url, expiresAt: new Date(expiresAt).toISOString() }, 200, NO_STORE);
    },
  });

  route(app, '/records/:name', {
    GET: async (c) => {
      await requireReader(c);
      return fileOf(c, await found(c));
    },
    DELETE: async (c) => {
      await requireAdmin(c);
      unwrap(await records(c).remove({ name: nameIn(c), forget: c.req.query('forget') === '1' }));
      return emptyOk();
    },
  });
}

/** One entry as the API shows it. */
async function shown(c: AppContext, entry: RecordEntry) {
  const { id, name, lobby, state, bytes, uploadedBytes, durationMs, codecs, contentType, error } = entry;
  const stream = streamOfLobby(lobby);
  const link = await writeRecordLink(name, Date.now() + LISTED_LINK_MS, settingsOf(c).sessionSecret);
  return {
    ...{
      id,
      name,
      room: roomOfLobby(lobby),
      stream,
      state,
      size: bytes,
      uploadedBytes,
      durationMs,
      codecs,
      contentType,
    },
    startedAt: new Date(entry.startedAt).toISOString(),
    /** The end of a finished one, the last word about any other. */
    modTime: new Date(entry.endedAt ?? entry.updatedAt).toISOString(),
    node: entry.node,
    error,
    /** Good for an hour, without a token; null while there is nothing to fetch. */
    url: state === 'ready' ? link : null,
  };
}

function queryOf(c: AppContext) {
  const room = c.req.query('room');
  const name = room === undefined ? null : roomNameSchema.safeParse(room);
  if (name?.success === false) throw invalidRoom();
  const limitText = c.req.query('limit') ?? String(DEFAULT_PAGE);
  const limit = /^[1-9]\d{0,3}$/.test(limitText) ? Math.min(Number(limitText), MAX_PAGE) : null;
  if (limit === null) throw new ProblemError(400, 'invalid_limit', `limit is a number from 1 to ${MAX_PAGE}`);
  const beforeText = c.req.query('before');
  const match = /^(\d{1,15})\.([A-Za-z0-9_-]{22})$/.exec(beforeText ?? '');
  if (beforeText !== undefined && match === null) {
    throw new ProblemError(400, 'invalid_cursor', 'before is what the Link of the page before says');
  }
  const before = match === null ? null : { startedAt: Number(match[1]), id: match[2] ?? '' };
  return { lobby: name === null ? null : roomLobbyId(name.data), before, limit };
}

function nextPage(c: AppContext, last: RecordEntry): string {
  const url = new URL(c.req.url);
  url.searchParams.set('before', `${last.startedAt}.${last.id}`);
  return `${url.pathname}${url.search}`;
}

/**
 * An operator, or whoever has a link that is still good. A good link is not counted: a player asks for a range at each step
 * through a file, and the link is for that one file and for a while.
 * @throws ProblemError 401, 403 `bad_link`, 429
 */
async function requireReader(c: AppContext): Promise<void> {
  const [expires, signature] = [c.req.query('expires') ?? null, c.req.query('signature') ?? null];
  if (expires === null && signature === null) {
    limitRate(c);
    return requireAdmin(c);
  }
  const name = nameIn(c);
  if (await isRecordLinkGood({ name, expires, signature }, settingsOf(c).sessionSecret, Date.now())) return;
  limitRate(c);
  throw new ProblemError(403, 'bad_link', 'this link is not good, or not any more');
}

/** @throws ProblemError 404, 409 `record_not_ready`, 410 when the store has lost it, 416, 503 */
async function fileOf(c: AppContext, entry: RecordEntry): Promise<Response> {
  if (entry.state !== 'ready' || entry.stored === null) {
    throw new ProblemError(409, 'record_not_ready', `the recording is not here yet: it is ${entry.state}`);
  }
  const store = storeFor(c.env, entry.stored.via);
  if (store === null) throw new ProblemError(501, 'no_store', 'the store of this recording is not configured');
  const tag = `"${entry.id}"`;
  const ifRange = c.req.header('If-Range') ?? tag;
  const range = readByteRange(ifRange === tag ? (c.req.header('Range') ?? null) : null, entry.bytes);
  if (range.kind === 'unsatisfiable') {
    throw new ProblemError(416, 'bad_range', 'there is nothing at this range', {
      headers: { 'Content-Range': `bytes */${entry.bytes}` },
    });
  }
  const headers = new Headers({
    'Content-Type': entry.contentType,
    'Accept-Ranges': 'bytes',
    'Content-Disposition': `${c.req.query('download') === undefined ? 'inline' : 'attachment'}; filename="${entry.name}"`,
    'Cache-Control': 'private, max-age=0',
    ETag: tag,
    'Last-Modified': new Date(entry.endedAt ?? entry.updatedAt).toUTCString(),
    'X-Content-Type-Options': 'nosniff',
  });
  const part = range.kind === 'part' ? range : null;
  headers.set('Content-Length', String(part === null ? entry.bytes : part.last - part.first + 1));
  if (part !== null) headers.set('Content-Range', `bytes ${part.first}-${part.last}/${entry.bytes}`);
  const status = part === null ? 200 : 206;
  if (c.req.raw.method === 'HEAD') return new Response(null, { status, headers });
  const object = await store.read(entry.stored.key, part).catch((error: unknown) => {
    if (!(error instanceof StoreError)) throw error;
    console.error('a recording could not be read', error.message);
    throw new ProblemError(503, 'store_unreachable', 'the store cannot be reached', { retryAfterSeconds: 5 });
  });
  if (object === null) throw new ProblemError(410, 'record_lost', 'the store does not have this recording any more');
  return new Response(object.body, { status, headers });
}

/** @throws ProblemError 404 */
async function found(c: AppContext): Promise<RecordEntry> {
  const entry = await records(c).find({ name: nameIn(c) });
  if (entry === null) throw noRecord();
  return entry;
}

/** @throws ProblemError 404 for what cannot be a name: a path, another file's kind */
function nameIn(c: AppContext): string {
  const name = recordNameSchema.safeParse(c.req.param('name'));
  if (!name.success) throw noRecord();
  return name.data;
}

function noRecord(): ProblemError {
  return new ProblemError(404, 'no_record', 'no such recording');
}

function records(c: AppContext) {
  return c.env.RECORDS.getByName(RECORDS_NAME);
}
