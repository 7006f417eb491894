/**
 * What a member may do with the session that the cookie names: `session.id` and `X-Req-Token`, checked in the order of
 * the contract (signature 401, alive 404, stream 403, user 403, token 403). Every reply behind the check brings the next
 * token, refusals included.
 */
import { ProblemError, unwrap } from '../../shared/errors.ts';
import { readSessionCookie, type SessionCookie } from '../auth/session-cookie.ts';
import { presentedIdentity } from '../middleware/auth.ts';
import { type AppContext, settingsOf } from '../middleware/context.ts';
import { answerError } from '../middleware/problem.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import type { StreamLobbyRpc } from '../stream-lobby/rpc.ts';
import type { Handler } from './methods.ts';
import { type StreamPath, streamInfo, streamInPath } from './stream-path.ts';

export const REQUEST_TOKEN_FIELD = 'X-Req-Token';

export interface GuardedCall extends StreamPath, Pick<SessionCookie, 'session' | 'user'> {
  /** The lobby's object. */
  room: StreamLobbyRpc;
}

/** A handler behind the check. */
export function guarded(handle: (c: AppContext, call: GuardedCall) => Promise<Response>): Handler {
  return async (c) => {
    limitRate(c);
    const path = streamInPath(c);
    const cookie = await readSessionCookie(c.req.header('Cookie') ?? null, settingsOf(c).sessionSecret);
    if (cookie === null) throw noCookie();
    const identity = await presentedIdentity(c);
    // The lobby of the cookie knows whether the session lives; that it is not this one comes after that.
    const { user, session, token } = unwrap(
      await c.env.STREAM_LOBBY.getByName(cookie.lobby).guard({
        session: cookie.session,
        lobby: path.lobby,
        bearer: identity === null ? null : [...identity.names],
        token: c.req.header(REQUEST_TOKEN_FIELD) ?? '',
      }),
    );
    const room = c.env.STREAM_LOBBY.getByName(path.lobby);
    const response = await handle(c, { ...path, session, user, room }).catch((error: Error) => answerError(error, c));
    response.headers.set(REQUEST_TOKEN_FIELD, token);
    return response;
  };
}

/** @throws ProblemError 403 `not_the_owner` */
export async function requireOwner(c: AppContext, call: GuardedCall): Promise<void> {
  const { owner } = await streamInfo(c, call);
  if (owner !== call.user) throw new ProblemError(403, 'not_the_owner', 'only the owner of the stream may do this');
}

function noCookie(): ProblemError {
  return new ProblemError(401, 'no_session_cookie', 'the session cookie is missing or not genuine', {
    headers: { 'WWW-Authenticate': 'Session realm="vestibule"' },
  });
}
