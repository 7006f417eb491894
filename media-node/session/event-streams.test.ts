import { expect, test } from 'vitest';
import { lobbyIdSchema } from '../../shared/ids.ts';
import { type EventSource, EventStreams } from './event-streams.ts';

const LOBBY = lobbyIdSchema.parse('room:main');

function source(): EventSource & { closed: boolean; moving: boolean; layers: { active: boolean } } {
  return { closed: false, moving: false, layers: { active: false, describe: () => ({}) } };
}

/** Opens streams, four for each session, until there is no place. */
function fill(streams: EventStreams): { session: EventSource; stream: string }[] {
  const open: { session: EventSource; stream: string }[] = [];
  for (let session = source(); ; session = open.length % 4 === 0 ? source() : session) {
    try {
      open.push({ session, ...streams.open(session, LOBBY, ['active']) });
    } catch {
      return open;
    }
  }
}

test('a fifth stream of a session takes the place of its oldest', () => {
  const streams = new EventStreams(() => 0);
  const session = source();
  const [first, second] = Array.from({ length: 5 }, () => streams.open(session, LOBBY, ['active']).stream);

  expect(() => streams.read(session, first ?? '')).toThrow('no such event stream');
  expect(streams.read(session, second ?? '').messages).toEqual([]);
});

test('when all places are taken, streams that nobody reads give way, and no other', () => {
  let now = 0;
  const streams = new EventStreams(() => now);
  const [read, ...unread] = fill(streams);
  expect(unread).toHaveLength(199);
  now = 50_000;
  streams.read(read?.session ?? source(), read?.stream ?? '');
  expect(fill(streams)).toEqual([]);

  now = 60_000;
  expect(fill(streams)).toHaveLength(199);
  expect(streams.read(read?.session ?? source(), read?.stream ?? '').messages).toEqual([]);
  expect(() => streams.read(unread[0]?.session ?? source(), unread[0]?.stream ?? '')).toThrow('no such event stream');
});

test('sessions that are over leave their places', () => {
  const streams = new EventStreams(() => 0);
  const open = fill(streams);
  const [{ session } = { session: source() }] = open;
  Object.assign(session, { closed: true });

  expect(fill(streams)).toHaveLength(4);
});

test('news are told once to each reader; a fresh one hears what is so', () => {
  const streams = new EventStreams(() => 0);
  const session = source();
  const { stream } = streams.open(session, LOBBY, ['active', 'inactive', 'reconnect']);
  const events = (fresh?: boolean) => streams.read(session, stream, fresh).messages.map(({ event }) => event);

  expect(events(true)).toEqual([]);
  session.layers.active = true;
  expect(events()).toEqual(['active']);
  expect(events()).toEqual([]);
  session.moving = true;
  expect(events()).toEqual(['reconnect']);
  session.layers.active = false;
  expect(events()).toEqual(['inactive']);
  expect(events()).toEqual([]);
  expect(events(true)).toEqual(['inactive', 'reconnect']);
});
