/** Rooms, what a page needs to start, and what an operator may do. */
import { unwrap } from '../../shared/errors.ts';
import { roomLobbyId, roomNameSchema, roomOfLobby } from '../../shared/ids.ts';
import type { RecordState } from '../../shared/protocol/records.ts';
import { authEnabled } from '../auth/access.ts';
import { FLEET_NAME, RECORDS_NAME } from '../env.ts';
import { isAdmin, requireAdmin, requireRoomAccess, requireRoomsView } from '../middleware/auth.ts';
import { type App, type AppContext, settingsOf } from '../middleware/context.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import { iceServers } from './ice-servers.ts';
import { emptyOk, NO_STORE, route } from './methods.ts';
import { roomInPath } from './room-name.ts';
import { readWantedRecording, recordingStatus, shownRecording } from './wanted-recording.ts';

type RecordingNote = { state: RecordState; error: string | null };

export function apiRoutes(app: App): void {
  route(app, '/api/rooms', {
    GET: async (c) => {
      limitRate(c);
      const inView = await requireRoomsView(c);
      const rooms = await c.env.FLEET.getByName(FLEET_NAME).rooms();
      const shown = rooms.filter(({ name }) => {
        const room = roomNameSchema.safeParse(name);
        return room.success && inView(room.data);
      });
      const recordings = await recordingsOf(c, shown);
      const mayKnowWhy = recordings.size > 0 && (await isAdmin(c));
      const list = shown.map(({ name, hasPublisher, tracks, subscribers }) => ({
        name,
        hasPublisher,
        tracks,
        subscribers,
        recording: noteOn(recordings.get(name), mayKnowWhy),
      }));
      return c.json(list, 200, NO_STORE);
    },
  });

  const snapshotPath = roomInPath('/api/rooms/', '/snapshot.jpg');
  route(app, '/api/rooms/:room/snapshot.jpg', {
    check: snapshotPath,
    GET: async (c) => {
      limitRate(c);
      const room = snapshotPath(c);
      await requireRoomAccess(c, room, 'play');
      const lobby = roomLobbyId(room);
      const { jpeg } = unwrap(await c.env.LOBBY.getByName(lobby).snapshot({ lobby }));
      const bytes = Uint8Array.from(atob(jpeg), (character) => character.charCodeAt(0));
      return c.body(bytes, 200, { ...NO_STORE, 'Content-Type': 'image/jpeg', 'X-Content-Type-Options': 'nosniff' });
    },
  });

  route(app, '/api/bootstrap', {
    GET: (c) => {
      limitRate(c);
      const settings = settingsOf(c);
      const asksForTokens = authEnabled(settings);
      const body = {
        authEnabled: asksForTokens,
        recordEnabled: settings.recordEnabled,
        // Without tokens anybody may publish and gets the TURN credentials anyway; with them this page is not the place.
        iceServers: iceServers(settings, !asksForTokens).map(({ urls, ...secret }) => ({ urls: [urls], ...secret })),
        features: { rooms: true, records: true },
      };
      return c.json(body, 200, NO_STORE);
    },
  });

  const recordingPath = roomInPath('/api/admin/rooms/', '/recording');
  const recordingOf = (c: AppContext) => c.env.LOBBY.getByName(roomLobbyId(recordingPath(c)));
  route(app, '/api/admin/rooms/:room/recording', {
    check: recordingPath,
    GET: async (c) => {
      await requireAdmin(c);
      const lobby = roomLobbyId(recordingPath(c));
      return c.json(await recordingStatus(c, lobby, await recordingOf(c).recording({})), 200, NO_STORE);
    },
    PUT: async (c) => {
      await requireAdmin(c);
      const wish = await readWantedRecording(c);
      return c.json(shownRecording(await recordingOf(c).recording({ wish })), 200, NO_STORE);
    },
    DELETE: async (c) => {
      await requireAdmin(c);
      return c.json(shownRecording(await recordingOf(c).recording({ wish: null })), 200, NO_STORE);
    },
  });

  const closePath = roomInPath('/api/admin/rooms/', '/close');
  route(app, '/api/admin/rooms/:room/close', {
    check: closePath,
    POST: async (c) => {
      await requireAdmin(c);
      unwrap(await c.env.LOBBY.getByName(roomLobbyId(closePath(c))).closeRoom());
      return emptyOk();
    },
  });
}

/**
 * Undefined when there is nothing to tell. Why a recording failed is for operators: a node or a store may name paths, hosts
 * and accounts.
 */
function noteOn(note: RecordingNote | undefined, mayKnowWhy: boolean): RecordingNote | undefined {
  return note === undefined || mayKnowWhy ? note : { ...note, error: null };
}

/** How the recording of each of these rooms fares; a finished one is nothing to tell. */
async function recordingsOf(c: AppContext, rooms: readonly { name: string }[]): Promise<Map<string, RecordingNote>> {
  const lobbies = rooms.map(({ name }) => roomLobbyId(roomNameSchema.parse(name)));
  // A list of rooms is worth more than this note on it.
  const newest =
    lobbies.length === 0 ? [] : await c.env.RECORDS.getByName(RECORDS_NAME).newestOf({ lobbies }).catch(noted);
  const notes = new Map<string, RecordingNote>();
  for (const { lobby, state, error } of newest) {
    const room = roomOfLobby(lobby);
    if (room !== null && state !== 'ready') notes.set(room, { state, error });
  }
  return notes;
}

function noted(error: unknown): [] {
  console.error('the catalogue of recordings could not be asked', error);
  return [];
}
