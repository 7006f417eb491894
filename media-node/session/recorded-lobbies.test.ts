import { expect, it } from 'vitest';
import { type LobbyId, mintSessionId } from '../../shared/ids.ts';
import type { DesiredLobby } from '../../shared/protocol/control.ts';
import type { RecordedPublisher, Recordings } from '../record/recordings.ts';
import type { IngressSession } from './ingress-session.ts';
import { RecordedLobbies } from './recorded-lobbies.ts';

const LOBBY = 'room:a' as LobbyId;

function stage() {
  const told: (readonly RecordedPublisher[])[] = [];
  const recordings = {
    present: (_: LobbyId, publishers: readonly RecordedPublisher[]) => void told.push(publishers),
    want: () => {},
    end: () => {},
    keep: () => {},
  } as unknown as Recordings;
  const lobbies = new RecordedLobbies(recordings);
  const publisher = { id: mintSessionId(), closed: false, sources: [] } as unknown as IngressSession;
  const continues = () => {
    lobbies.changed(LOBBY, [publisher]);
    return told.at(-1)?.[0]?.replaces ?? null;
  };
  return { lobbies, publisher, continues };
}

it('a publisher goes on for the one that it replaces, until its room is over', () => {
  const { lobbies, publisher, continues } = stage();
  const lost = mintSessionId();
  lobbies.published(LOBBY, publisher.id, lost);
  expect(continues()).toBe(lost);
  // The edge ends the room, and the publisher is in no list any more: nothing of it is kept.
  lobbies.wish({ lobby: LOBBY, revision: 2, publisher: null } as unknown as DesiredLobby, []);
  expect(continues()).toBeNull();
});

it('what the edge does not know any more is not kept', () => {
  const { lobbies, publisher, continues } = stage();
  lobbies.published(LOBBY, publisher.id, mintSessionId());
  lobbies.keep([]);
  expect(continues()).toBeNull();
});
