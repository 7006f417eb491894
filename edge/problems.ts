/** Refusals that several rooms of the edge give. Those of one room are beside what refuses. */
import type { Problem } from '../shared/errors.ts';

export const NO_SESSION: Problem = { status: 404, code: 'no_session', detail: 'no such session' };
/** None is linked, or none of those that are has room. */
export const NO_MEDIA_NODE: Problem = {
  status: 503,
  code: 'no_media_node',
  detail: 'no media node can take this now',
  retryAfterSeconds: 2,
};
/** An object moves or is replaced, or does too much at once. */
export const BUSY: Problem = { status: 503, code: 'busy', detail: 'try again in a moment', retryAfterSeconds: 1 };
