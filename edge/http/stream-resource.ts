/** The session URLs of a stream's lobby: of what a member sends, and of what a member receives. */
import { ProblemError } from '../../shared/errors.ts';
import { streamLobbyId } from '../../shared/ids.ts';
import { type Identity, isUser } from '../auth/identity.ts';
import { expiredSessionCookie, readSessionCookie } from '../auth/session-cookie.ts';
import { presentedIdentity } from '../middleware/auth.ts';
import { type AppContext, settingsOf } from '../middleware/context.ts';
import { cookieAttributes } from '../middleware/cookies.ts';
import type { ResourceId } from '../resource-id.ts';
import { WRONG_USER } from '../stream-lobby/stream-problems.ts';
import { SDP_TYPE, SDPFRAG_TYPE } from './media-types.ts';
import { deleteSession, type SessionOwner } from './session-resource.ts';

export type MemberResource = Extract<ResourceId, { kind: 'member' | 'listener' }>;

export function memberSession(c: AppContext, resource: MemberResource): SessionOwner {
  const { kind, session } = resource;
  const lobby = lobbyOf(c, resource);
  return {
    session,
    acceptPatch: kind === 'member' ? SDPFRAG_TYPE : `${SDPFRAG_TYPE}, ${SDP_TYPE}`,
    patch: (input) => lobby.patch(input),
    answer: kind === 'member' ? null : (answer) => lobby.answer({ session, answer }),
    probe: () => lobby.probe({ session }),
    end: () => lobby.leave({ session }),
  };
}

/**
 * The URL is the capability, and a bearer is not needed; but one that is good and speaks for somebody else is refused
 * (403 `wrong_user`). The cookie of the one who leaves is expired, unless they have only moved.
 */
export async function deleteMemberSession(c: AppContext, resource: MemberResource): Promise<Response> {
  const identity = await goodIdentity(c);
  const lobby = lobbyOf(c, resource);
  const owner = await lobby.ownerOf({ session: resource.session });
  if (identity !== null && owner !== null && !isUser(identity, owner.user)) throw ProblemError.from(WRONG_USER);
  const response = await deleteSession(c, memberSession(c, resource));
  const cookie = await readSessionCookie(c.req.header('Cookie') ?? null, settingsOf(c).sessionSecret);
  if (
    owner !== null &&
    cookie?.session === owner.lineage &&
    (await lobby.ownerOf({ session: cookie.session })) === null
  ) {
    response.headers.set('Set-Cookie', expiredSessionCookie(cookieAttributes(c)));
  }
  return response;
}

/** Null also for a token that is out of date: whoever leaves late may leave. */
function goodIdentity(c: AppContext): Promise<Identity | null> {
  return presentedIdentity(c).catch((error: unknown) => {
    if (error instanceof ProblemError) return null;
    throw error;
  });
}

function lobbyOf(c: AppContext, { space, stream }: MemberResource) {
  return c.env.STREAM_LOBBY.getByName(streamLobbyId(space, stream));
}
