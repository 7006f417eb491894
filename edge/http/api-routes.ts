/** Rooms, what a page needs to start, and what an operator may do. */
import { unwrap } from '../../shared/errors.ts';
import { roomLobbyId, roomNameSchema } from '../../shared/ids.ts';
import { authEnabled } from '../auth/access.ts';
import { FLEET_NAME } from '../env.ts';
import { requireAdmin, requireRoomsView } from '../middleware/auth.ts';
import { type App, settingsOf } from '../middleware/context.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import { iceServers } from './ice-servers.ts';
import { emptyOk, route } from './methods.ts';
import { roomInPath } from './room-name.ts';

const NO_STORE = { 'Cache-Control': 'no-store' };

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
      const list = shown.map(({ name, hasPublisher, tracks, subscribers }) => ({
        name,
        hasPublisher,
        tracks,
        subscribers,
      }));
      return c.json(list, 200, NO_STORE);
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

  const closePath = roomInPath('/api/admin/rooms/', '/close');
  route(app, '/api/admin/rooms/:room/close', {
    check: closePath,
    POST: async (c) => {
      await requireAdmin(c);
      unwrap(await c.env.LOBBY.getByName(roomLobbyId(closePath(c))).closeRoom());
      return emptyOk();
    },
  });

  route(app, '/api/admin/nodes', {
    GET: async (c) => {
      await requireAdmin(c);
      return c.json(await c.env.FLEET.getByName(FLEET_NAME).nodes(), 200, NO_STORE);
    },
  });
}
