/** `/resource/{rid}`, and the join flow: `POST /rooms/{room}/join`, then `/whip/{session_id}`. */
import { mintSessionId } from '../../shared/ids.ts';
import { requireRoomAccess } from '../middleware/auth.ts';
import { type App, type AppContext, settingsOf } from '../middleware/context.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import { JOIN_TOKEN_LIFE_MS, type ResourceId, writeResourceId } from '../resource-id.ts';
import { emptyBody, publish, readOffer } from './endpoints.ts';
import { iceLinks, iceLinksFor } from './ice-links.ts';
import { SDP_TYPE, SDPFRAG_TYPE } from './media-types.ts';
import { emptyOk, NO_STORE, route } from './methods.ts';
import { roomInPath } from './room-name.ts';
import {
  deleteSession,
  noSession,
  patchSession,
  publisherOf,
  resourceIn,
  type SessionOwner,
  showSession,
  viewerOf,
} from './session-resource.ts';
import { deleteMemberSession, memberSession } from './stream-resource.ts';

type JoinToken = Extract<ResourceId, { kind: 'join' }>;

export function sessionRoutes(app: App): void {
  route(app, '/resource/:rid', {
    GET: async (c) => showSession(c, ownerOf(c, await resourceIn(c))),
    PATCH: async (c) => patchSession(c, ownerOf(c, await resourceIn(c))),
    DELETE: async (c) => {
      const resource = await resourceIn(c);
      if (resource.kind === 'member' || resource.kind === 'listener') return deleteMemberSession(c, resource);
      return deleteSession(c, ownerOf(c, resource));
    },
    options: async (c) => {
      await showSession(c, ownerOf(c, await resourceIn(c)));
      return {};
    },
    acceptPatch: SDPFRAG_TYPE,
  });

  const joinPath = roomInPath('/rooms/', '/join');
  route(app, '/rooms/:room/join', {
    check: joinPath,
    POST: async (c) => {
      limitRate(c);
      const room = joinPath(c);
      await requireRoomAccess(c, room, 'publish');
      const token: JoinToken = { kind: 'join', room, session: mintSessionId(), issuedAtMs: Date.now() };
      return c.json({ session_id: await writeResourceId(token, settingsOf(c).sessionSecret) }, 200, NO_STORE);
    },
    options: (c) => iceLinksFor(c, requireRoomAccess(c, joinPath(c), 'publish')),
  });

  route(app, '/whip/:rid', {
    GET: async (c) => {
      const token = await joinTokenOf(c);
      return isFresh(token)
        ? emptyOk({ 'Content-Type': SDP_TYPE })
        : showSession(c, publisherOf(c.env, token.room, token.session));
    },
    POST: async (c) => {
      const token = await joinTokenOf(c);
      limitRate(c);
      if (!isFresh(token)) throw noSession();
      const offer = await readOffer(c);
      if (offer === '') throw emptyBody();
      return publish(c, { room: token.room, session: token.session, offer, location: `/whip/${c.req.param('rid')}` });
    },
    PATCH: async (c) => {
      const token = await joinTokenOf(c);
      return patchSession(c, publisherOf(c.env, token.room, token.session));
    },
    DELETE: async (c) => {
      const token = await joinTokenOf(c);
      return deleteSession(c, publisherOf(c.env, token.room, token.session));
    },
    // Whoever has a join token was allowed in.
    options: async (c) => iceLinks(c, isFresh(await joinTokenOf(c))),
    acceptPost: SDP_TYPE,
    acceptPatch: SDPFRAG_TYPE,
  });
}

function ownerOf(c: AppContext, resource: ResourceId): SessionOwner {
  switch (resource.kind) {
    case 'ingress':
      return publisherOf(c.env, resource.room, resource.session);
    case 'egress':
    case 'audience':
      return viewerOf(c.env, resource);
    case 'member':
    case 'listener':
      return memberSession(c, resource);
    case 'join':
      throw noSession();
  }
}

async function joinTokenOf(c: AppContext): Promise<JoinToken> {
  const resource = await resourceIn(c);
  if (resource.kind !== 'join') throw noSession();
  return resource;
}

function isFresh(token: JoinToken): boolean {
  return Date.now() - token.issuedAtMs <= JOIN_TOKEN_LIFE_MS;
}
