/** Why the lobby of a stream refuses. */
import type { Problem } from '../../shared/errors.ts';

export { NO_SESSION } from '../problems.ts';

export const SESSION_EXISTS: Problem = {
  status: 409,
  code: 'session_exists',
  detail: 'you have a session in this lobby already',
};
export const NOT_YOUR_SESSION: Problem = {
  status: 403,
  code: 'not_your_session',
  detail: 'Vestibule-Replaces does not name a session of yours in this lobby',
};
export const LOBBY_NOT_RUNNING: Problem = {
  status: 404,
  code: 'lobby_not_running',
  detail: 'the lobby of this stream is not running',
};
export const NOTHING_ON: Problem = {
  status: 404,
  code: 'no_main_track',
  detail: 'nothing is on in this stream now',
};
export const LOBBY_CLOSED: Problem = { status: 409, code: 'lobby_closed', detail: 'the lobby was closed meanwhile' };
export const WRONG_STREAM: Problem = {
  status: 403,
  code: 'wrong_stream',
  detail: 'the session belongs to another stream',
};
export const WRONG_USER: Problem = { status: 403, code: 'wrong_user', detail: 'the session belongs to another user' };
export const BAD_REQUEST_TOKEN: Problem = {
  status: 403,
  code: 'bad_request_token',
  detail: 'X-Req-Token is missing, used or out of date',
};
export const LISTENER_EXISTS: Problem = {
  status: 409,
  code: 'listener_exists',
  detail: 'you are receiving this lobby already',
};
export const ALREADY_LIVE: Problem = { status: 409, code: 'already_live', detail: 'the stream is live already' };
export const NO_MAIN_TRACK: Problem = {
  status: 409,
  code: 'no_main_track',
  detail: 'there is no main track to go live with',
};
export const NOT_LIVE: Problem = { status: 404, code: 'not_live', detail: 'the stream is not live' };
