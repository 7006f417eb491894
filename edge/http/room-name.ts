/** Where a request says which room it means. */
import { ProblemError } from '../../shared/errors.ts';
import { type RoomName, roomNameSchema } from '../../shared/ids.ts';
import type { AppContext } from '../middleware/context.ts';

/** @throws ProblemError 400 */
export type RoomReader = (c: AppContext) => RoomName;

/** The room is what stands between `prefix` and `suffix` in the path. */
export function roomInPath(prefix: string, suffix = ''): RoomReader {
  return (c) => roomBetween(c.req.path, prefix, suffix);
}

/** The room is `?streamid=`. */
export function roomInQuery(c: AppContext): RoomName {
  const room = c.req.query('streamid');
  if (room === undefined || room === '')
    throw new ProblemError(
      400,
      'no_streamid',
      'streamid is missing: name the room behind it, such as ?streamid=morning-show',
    );
  return parseRoom(room);
}

/** @throws ProblemError 400 `invalid_room` */
export function roomBetween(path: string, prefix: string, suffix: string): RoomName {
  return parseRoom(decoded(path.slice(prefix.length, path.length - suffix.length)));
}

/** `%41` is `A` (RFC 3986 §2.3); what cannot be decoded is no room name either. */
function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return '';
  }
}

function parseRoom(text: string): RoomName {
  const room = roomNameSchema.safeParse(text);
  if (!room.success) throw invalidRoom();
  return room.data;
}

export function invalidRoom(): ProblemError {
  return new ProblemError(
    400,
    'invalid_room',
    'invalid room: its name must be 1 to 64 letters, digits, - or _, such as morning-show',
  );
}
