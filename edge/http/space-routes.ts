/** Streams and their people: `/space/{space}/stream/{stream}`, `/space/{space}/streams`, `/space/setting`. */
import { ProblemError, unwrap } from '../../shared/errors.ts';
import { type StreamId, streamIdSchema } from '../../shared/ids.ts';
import { csrfCookie, csrfToken } from '../auth/csrf.ts';
import { requireMember } from '../auth/identity.ts';
import { isAdmin, requireAdmin, requireIdentity } from '../middleware/auth.ts';
import { type App, type AppContext, settingsOf } from '../middleware/context.ts';
import { cookieAttributes } from '../middleware/cookies.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import type { StreamInfo } from '../space/rpc.ts';
import { streamBodySchema } from '../space/stream-info.ts';
import { iceServers } from './ice-servers.ts';
import { readJson } from './json-body.ts';
import { emptyOk, NO_STORE, route } from './methods.ts';
import { noStream, STREAM_PATH, type StreamPath, spaceInPath, streamInfo, streamInPath } from './stream-path.ts';

const MAX_PAGE = 100;

export function spaceRoutes(app: App): void {
  route(app, '/space/setting', { GET: showSetting });
  route(app, '/space/:space/streams', { check: spaceInPath, GET: listStreams });
  route(app, STREAM_PATH, { check: streamInPath, GET: showStream, PUT: putStream, DELETE: deleteStream });
}

async function showSetting(c: AppContext): Promise<Response> {
  limitRate(c);
  const { user } = await requireIdentity(c);
  const settings = settingsOf(c);
  const token = await csrfToken(user, c.req.header('Cookie') ?? null, settings.sessionSecret);
  const servers = iceServers(settings, true).map(({ urls, ...secret }) => ({ urls: [urls], ...secret }));
  return c.json(servers, 200, {
    ...NO_STORE,
    'X-Csrf-Token': token,
    'Set-Cookie': csrfCookie(token, cookieAttributes(c)),
  });
}

/** A member's own streams; an administrator sees all. */
async function listStreams(c: AppContext): Promise<Response> {
  limitRate(c);
  const space = spaceInPath(c);
  const member = (await isAdmin(c)) ? null : (await requireIdentity(c)).names;
  const { limit, after } = pageOf(c);
  const { streams, more } = await c.env.SPACE.getByName(space).list({ member, after, limit });
  const last = streams.at(-1);
  const next = more && last !== undefined ? `</space/${space}/streams?limit=${limit}&after=${last.uuid}>` : null;
  return c.json(streams.map(summaryOf), 200, {
    ...NO_STORE,
    ...(next === null ? {} : { Link: `${next}; rel="next"` }),
  });
}

async function showStream(c: AppContext): Promise<Response> {
  limitRate(c);
  const path = streamInPath(c);
  if (await isAdmin(c)) return c.json(detailsOf(await streamInfo(c, path)), 200, NO_STORE);
  const identity = await requireIdentity(c);
  const info = await streamInfo(c, path);
  const user = requireMember(info, identity);
  return c.json(user === info.owner ? detailsOf(info) : summaryOf(info), 200, NO_STORE);
}

/** Who belongs to the stream no more is sent out of its lobby. With `If-None-Match: *` only a stream that is not there yet is made (RFC 9110 §13.1.2). */
async function putStream(c: AppContext): Promise<Response> {
  limitRate(c);
  await requireAdmin(c);
  const { space, stream, lobby } = streamInPath(c);
  const body = await readJson(c, streamBodySchema);
  const info: StreamInfo = { uuid: stream, ...body };
  const onlyNew = c.req.header('If-None-Match')?.trim() === '*';
  const outcome = await c.env.SPACE.getByName(space).put({ stream: info, onlyNew });
  if (outcome === 'exists') throw new ProblemError(412, 'stream_exists', 'there is such a stream');
  if (outcome === 'updated') {
    await c.env.STREAM_LOBBY.getByName(lobby).keep({ users: [info.owner, ...info.guests] });
    return c.json(detailsOf(info), 200, NO_STORE);
  }
  return c.json(detailsOf(info), 201, { ...NO_STORE, Location: `/space/${space}/stream/${stream}` });
}

async function deleteStream(c: AppContext): Promise<Response> {
  limitRate(c);
  await requireAdmin(c);
  const path = streamInPath(c);
  await streamInfo(c, path);
  // First, so that the stream is still there to be deleted when this fails.
  await endLobby(c, path);
  if (!(await c.env.SPACE.getByName(path.space).delete({ stream: path.stream }))) throw noStream();
  // Again, for those who were just on their way in.
  await endLobby(c, path);
  return emptyOk();
}

/** @throws ProblemError when it cannot be ended; that nothing runs in it is fine. */
async function endLobby(c: AppContext, { lobby }: StreamPath): Promise<void> {
  const outcome = await c.env.STREAM_LOBBY.getByName(lobby).close();
  if (!outcome.ok && outcome.problem.status !== 404) unwrap(outcome);
}

/** What every member may know. */
function summaryOf({ uuid, title, owner }: StreamInfo) {
  return { uuid, title, user: owner };
}

/** What the owner and administrators may know as well. */
function detailsOf(info: StreamInfo) {
  return { ...summaryOf(info), owner: info.owner, guests: info.guests };
}

/** @throws ProblemError 400 `bad_page` */
function pageOf(c: AppContext): { limit: number; after: StreamId | null } {
  const limit = c.req.query('limit') ?? String(MAX_PAGE);
  const after = c.req.query('after');
  const cursor = after === undefined ? null : streamIdSchema.safeParse(after.toLowerCase());
  if (!/^[1-9]\d{0,2}$/.test(limit) || Number(limit) > MAX_PAGE || cursor?.success === false) {
    throw new ProblemError(
      400,
      'bad_page',
      `limit must be a number from 1 to ${MAX_PAGE}, after the UUID of a stream: the Link of a page has both`,
    );
  }
  return { limit: Number(limit), after: cursor?.data ?? null };
}
