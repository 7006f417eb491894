/** Why a room refuses. */
import type { Problem } from '../../shared/errors.ts';

export { NO_SESSION } from '../problems.ts';

export const NO_PUBLISHER: Problem = { status: 404, code: 'no_publisher', detail: 'no active publisher in room' };
export const PUBLISHER_EXISTS: Problem = {
  status: 409,
  code: 'publisher_exists',
  detail: 'publisher already exists in this room',
};
/** It may come back in the next moment: whoever waits for the end of the grace would miss most of what he wants to see. */
export const PUBLISHER_LOST: Problem = {
  status: 409,
  code: 'publisher_lost',
  detail: 'the publisher of this room is away and may come back',
  retryAfterSeconds: 1,
};
export const PUBLISHER_OPENING: Problem = {
  status: 409,
  code: 'publisher_opening',
  detail: 'the publisher of this room is just connecting',
  retryAfterSeconds: 1,
};
export const NO_ROOM: Problem = { status: 404, code: 'no_room', detail: 'nothing runs in this room' };
export const ROOM_CLOSED: Problem = { status: 409, code: 'room_closed', detail: 'the room was closed meanwhile' };
export const SUBSCRIBER_LIMIT: Problem = {
  status: 403,
  code: 'subscriber_limit',
  detail: 'subscriber limit reached',
};
