/**
 * The lobby of a stream over HTTP: `P/whip` to enter, `P/whep` to receive the others, `P/res` (and `P/whip`) to leave.
 * `P` is `/space/{space}/stream/{stream}`.
 */
import { ProblemError, unwrap } from '../../shared/errors.ts';
import { mintSessionId, type SessionId } from '../../shared/ids.ts';
import { checkJoinOffer, checkListenOffer } from '../../shared/sdp/member-offer-rules.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { expiredSessionCookie, writeSessionCookie } from '../auth/session-cookie.ts';
import { type App, type AppContext, settingsOf } from '../middleware/context.ts';
import { cookieAttributes } from '../middleware/cookies.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import { type ResourceId, writeResourceId } from '../resource-id.ts';
import { MAX_SDP_BYTES, readText } from './body.ts';
import { clientPlace } from './client-place.ts';
import { created } from './created.ts';
import { emptyBody, readOffer, replacedBy, SERVER_OFFER_VALID_MS } from './endpoints.ts';
import { iceLinksFor } from './ice-links.ts';
import { mediaTypeOf, SDP_TYPE, SDPFRAG_TYPE, unsupportedType } from './media-types.ts';
import { emptyCreated, emptyOk, route } from './methods.ts';
import { type GuardedCall, guarded, REQUEST_TOKEN_FIELD } from './stream-guard.ts';
import { type Membership, membership, STREAM_PATH, type StreamPath, streamInPath } from './stream-path.ts';

export function streamRoutes(app: App): void {
  const leave = guarded(leaveLobby);
  route(app, `${STREAM_PATH}/whip`, {
    check: streamInPath,
    GET: () => emptyOk({ 'Content-Type': SDP_TYPE, 'Accept-Post': SDP_TYPE }),
    POST: enterLobby,
    DELETE: leave,
    options: (c) => iceLinksFor(c, membership(c)),
    acceptPost: SDP_TYPE,
  });
  route(app, `${STREAM_PATH}/whep`, {
    check: streamInPath,
    GET: () => emptyOk({ 'Content-Type': SDP_TYPE, 'Accept-Post': SDP_TYPE }),
    POST: guarded(listen),
    PATCH: guarded(answerOffer),
    options: (c) => iceLinksFor(c, membership(c)),
    acceptPost: SDP_TYPE,
    acceptPatch: SDP_TYPE,
  });
  route(app, `${STREAM_PATH}/res`, { check: streamInPath, DELETE: leave });
}

/** Nothing is set, and nothing is kept, unless everything went well. */
async function enterLobby(c: AppContext): Promise<Response> {
  limitRate(c);
  await membership(c);
  const offer = await readOffer(c);
  if (offer === '') throw emptyBody();
  checkJoinOffer(parseSdp(offer));
  // Again: a body may take its time, and who was sent out of the lobby meanwhile does not come back by it.
  const member = await membership(c);
  const { session, lineage, answer, etag, token } = await join(c, member, { fixed: false, offer });
  const { sessionSecret } = settingsOf(c);
  const response = created(c, {
    sdp: answer,
    etag,
    location: await memberLocation(c, 'member', member, session),
    acceptPatch: SDPFRAG_TYPE,
  });
  // Of the first session: who moves keeps the cookie, so a move that fails cannot spoil it.
  const cookie = { lobby: member.lobby, session: lineage, user: member.user };
  response.headers.set('Set-Cookie', await writeSessionCookie(cookie, sessionSecret, cookieAttributes(c)));
  if (token !== null) response.headers.set(REQUEST_TOKEN_FIELD, token);
  return response;
}

/** Opens the session of a member. @throws ProblemError 403, 404, 409, 422, 503 */
export async function join(c: AppContext, member: Membership, { fixed, offer }: { fixed: boolean; offer: string }) {
  const session = mintSessionId();
  const { lobby, user, space, stream } = member;
  const isOfLobby = (one: ResourceId): boolean => one.kind === 'member' && one.space === space && one.stream === stream;
  const replaces = await replacedBy(c, isOfLobby, 'a member’s session in this lobby');
  const outcome = await c.env.STREAM_LOBBY.getByName(lobby).join({
    lobby,
    user,
    session,
    fixed,
    offer,
    near: clientPlace(c),
    replaces,
  });
  return { session, ...unwrap(outcome) };
}

export async function memberLocation(
  c: AppContext,
  kind: 'member' | 'listener',
  { space, stream }: StreamPath,
  session: SessionId,
): Promise<string> {
  return `/resource/${await writeResourceId({ kind, space, stream, session }, settingsOf(c).sessionSecret)}`;
}

/** An empty body asks for our offer; with the client's offer the answer comes at once. */
async function listen(c: AppContext, call: GuardedCall): Promise<Response> {
  const offer = (await readOffer(c)) || null;
  if (offer !== null) checkListenOffer(parseSdp(offer));
  const session = mintSessionId();
  const { sdp, etag } = unwrap(await call.room.listen({ member: call.session, session, offer }));
  return created(c, {
    sdp,
    etag,
    location: await memberLocation(c, 'listener', call, session),
    acceptPatch: `${SDP_TYPE}, ${SDPFRAG_TYPE}`,
    ...(offer === null ? { validForMs: SERVER_OFFER_VALID_MS } : {}),
  });
}

/** The answer to our offer. A broken one leaves the offer as it is. */
async function answerOffer(c: AppContext, { session, room }: GuardedCall): Promise<Response> {
  if (mediaTypeOf(c.req.header('Content-Type') ?? null) !== SDP_TYPE) throw unsupportedType('Accept-Patch', SDP_TYPE);
  const answer = await readText(c.req.raw, MAX_SDP_BYTES);
  parseSdp(answer);
  const outcome = await room.answer({ session, answer });
  if (!outcome.ok && outcome.problem.code === 'no_offer_pending') {
    throw new ProblemError(409, outcome.problem.code, outcome.problem.detail);
  }
  unwrap(outcome);
  return emptyCreated();
}

async function leaveLobby(c: AppContext, { session, room }: GuardedCall): Promise<Response> {
  unwrap(await room.leave({ session, whole: true }));
  return emptyOk({ 'Set-Cookie': expiredSessionCookie(cookieAttributes(c)) });
}
