/** `/space/{space}/stream/{stream}`, and who may enter there. */
import { ProblemError } from '../../shared/errors.ts';
import {
  type LobbyId,
  type SpaceName,
  type StreamId,
  spaceNameSchema,
  streamIdSchema,
  streamLobbyId,
} from '../../shared/ids.ts';
import { requireMember } from '../auth/identity.ts';
import { requireIdentity } from '../middleware/auth.ts';
import type { AppContext } from '../middleware/context.ts';
import type { StreamInfo } from '../space/rpc.ts';

/** In a route. */
export const STREAM_PATH = '/space/:space/stream/:stream';

export interface StreamPath {
  space: SpaceName;
  stream: StreamId;
  lobby: LobbyId;
}

export interface Membership extends StreamPath {
  info: StreamInfo;
  /** What the stream calls whoever is asking: the user of their sessions in the lobby. */
  user: string;
  isOwner: boolean;
}

/** What the URL names. @throws ProblemError 404 `no_stream` when it can name nothing: no object is called. */
export function streamInPath(c: AppContext): StreamPath {
  const space = spaceInPath(c);
  // One stream is one lobby, however its UUID is written.
  const stream = streamIdSchema.safeParse(c.req.param('stream')?.toLowerCase());
  if (!stream.success) throw noStream();
  return { space, stream: stream.data, lobby: streamLobbyId(space, stream.data) };
}

/** @throws ProblemError 404 `no_stream` */
export function spaceInPath(c: AppContext): SpaceName {
  const space = spaceNameSchema.safeParse(c.req.param('space'));
  if (!space.success) throw noStream();
  return space.data;
}

/** @throws ProblemError 404 `no_stream` */
export async function streamInfo(c: AppContext, path: StreamPath): Promise<StreamInfo> {
  const info = await c.env.SPACE.getByName(path.space).stream({ stream: path.stream });
  if (info === null) throw noStream();
  return info;
}

/**
 * The stream in the URL and its member who is asking.
 * @throws ProblemError 401 without a good bearer, then 404 `no_stream`, then 403 `not_a_member`.
 */
export async function membership(c: AppContext): Promise<Membership> {
  const path = streamInPath(c);
  const identity = await requireIdentity(c);
  const info = await streamInfo(c, path);
  const user = requireMember(info, identity);
  return { ...path, info, user, isOwner: user === info.owner };
}

export function noStream(): ProblemError {
  return new ProblemError(404, 'no_stream', 'no such stream');
}
