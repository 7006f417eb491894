/**
 * The four WHIP and WHEP endpoints: `/api/whip/publish/{room}`, `/api/whep/play/{room}`, and the same two with the room
 * in `?streamid=`.
 *
 * A POST is checked from cheap to dear: room, method, rate, token, media type, size, SDP. Only then is an object called.
 */
import { ProblemError, unwrap } from '../../shared/errors.ts';
import { mintSessionId, type RoomName, roomLobbyId, type SessionId } from '../../shared/ids.ts';
import { checkPlayOffer, checkPublishOffer } from '../../shared/sdp/offer-rules.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { admit } from '../audience/admission.ts';
import type { Permission } from '../auth/token-claims.ts';
import { requireRoomAccess } from '../middleware/auth.ts';
import { type App, type AppContext, settingsOf } from '../middleware/context.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import { type ResourceId, readResourceId, writeResourceId } from '../resource-id.ts';
import { MAX_SDP_BYTES, readText } from './body.ts';
import { clientPlace } from './client-place.ts';
import { created } from './created.ts';
import { iceLinksFor } from './ice-links.ts';
import { mediaTypeOf, SDP_TYPE, SDPFRAG_TYPE, unsupportedType } from './media-types.ts';
import { emptyOk, type Resource, route } from './methods.ts';
import { extensionLinks } from './play-extensions.ts';
import { type RoomReader, roomInPath, roomInQuery } from './room-name.ts';
import { endpointPage, isNavigation } from './sign-page.ts';

/** draft-ietf-wish-whep §4.3.2: how long an offer of ours waits for its answer. */
export const SERVER_OFFER_VALID_MS = 30_000;

/** The URL of a publisher's or member's own session, when it is asked to move to another media node. */
export const REPLACES_HEADER = 'Vestibule-Replaces';

export function endpointRoutes(app: App): void {
  const publishPrefix = '/api/whip/publish/';
  const playPrefix = '/api/whep/play/';
  // The wildcard, because a name with a slash in it is an invalid room and not an unknown page.
  route(app, `${publishPrefix}*`, publishEndpoint(roomInPath(publishPrefix)));
  route(app, `${playPrefix}*`, playEndpoint(roomInPath(playPrefix), { serverOffers: true }));
  route(app, '/webrtc/whip', publishEndpoint(roomInQuery));
  // Whoever uses this form (lalmax' clients) always brings an offer; an empty body is its mistake.
  route(app, '/webrtc/whep', playEndpoint(roomInQuery, { serverOffers: false }));
}

function publishEndpoint(room: RoomReader): Resource {
  return endpoint(room, 'publish', async (c) => {
    const offer = await readOffer(c);
    if (offer === '') throw emptyBody();
    const session = mintSessionId();
    const name = room(c);
    const resource = { kind: 'ingress', room: name, session } as const;
    const location = `/resource/${await writeResourceId(resource, settingsOf(c).sessionSecret)}`;
    return publish(c, { room: name, session, offer, location });
  });
}

/**
 * The session that a client wants to move away from. Its URL is the proof that it is its own. Null: it does not want to.
 * @throws ProblemError 403 `not_your_session` when this edge has not written the URL, or for something else than `isMeant`
 */
export async function replacedBy(
  c: AppContext,
  isMeant: (resource: ResourceId) => boolean,
  meant: string,
): Promise<SessionId | null> {
  const url = c.req.header(REPLACES_HEADER)?.trim();
  if (url === undefined || url === '') return null;
  const rid = url.slice(url.lastIndexOf('/') + 1);
  const resource = await readResourceId(rid, settingsOf(c).sessionSecret);
  if (resource !== null && isMeant(resource)) return resource.session;
  throw new ProblemError(403, 'not_your_session', `${REPLACES_HEADER} does not name ${meant}`);
}

function isPublisherOf(room: RoomName): (resource: ResourceId) => boolean {
  return (resource) => (resource.kind === 'ingress' || resource.kind === 'join') && resource.room === room;
}

/** Opens the publisher's session. @throws ProblemError 400, 403, 409, 422, 503 */
export async function publish(
  c: AppContext,
  input: { room: RoomName; session: SessionId; offer: string; location: string },
): Promise<Response> {
  const { room, session, offer, location } = input;
  checkPublishOffer(parseSdp(offer));
  const lobby = roomLobbyId(room);
  const replaces = await replacedBy(c, isPublisherOf(room), 'a publisher’s session of this room');
  const near = clientPlace(c);
  const { answer, etag } = unwrap(
    await c.env.LOBBY.getByName(lobby).publish({ lobby, session, offer, near, replaces }),
  );
  return created(c, { sdp: answer, etag, location, acceptPatch: SDPFRAG_TYPE });
}

/** `serverOffers`: an empty body asks the server for the offer. */
function playEndpoint(room: RoomReader, { serverOffers }: { serverOffers: boolean }): Resource {
  return endpoint(room, 'play', async (c) => {
    // Legacy (draft-murillo-whep-01): an empty body asks the server to make the offer; the answer comes as a PATCH.
    const offer = (await readOffer(c)) || null;
    if (offer === null && !serverOffers) throw emptyBody();
    if (offer !== null) checkPlayOffer(parseSdp(offer));
    const name = room(c);
    const session = mintSessionId();
    const lobby = roomLobbyId(name);
    const { sdp, etag, node } = unwrap(await admit(c.env, { lobby, session, offer, near: clientPlace(c) }));
    const resource = { kind: 'egress', room: name, node, session } as const;
    const location = `/resource/${await writeResourceId(resource, settingsOf(c).sessionSecret)}`;
    const links = extensionLinks(location);
    return offer === null
      ? created(c, {
          sdp,
          etag,
          location,
          links,
          acceptPatch: `${SDP_TYPE}, ${SDPFRAG_TYPE}`,
          validForMs: SERVER_OFFER_VALID_MS,
        })
      : created(c, { sdp, etag, location, links, acceptPatch: SDPFRAG_TYPE });
  });
}

export function emptyBody(): ProblemError {
  return new ProblemError(400, 'empty_body', 'the body is empty: it must be an SDP offer');
}

/** What all endpoints share. GET and HEAD say that it is there and what it speaks (draft-ietf-wish-whep §4.2). */
function endpoint(room: RoomReader, permission: Permission, post: (c: AppContext) => Promise<Response>): Resource {
  return {
    check: room,
    GET: (c) =>
      isNavigation(c.req.raw)
        ? endpointPage(room(c), permission)
        : emptyOk({ 'Content-Type': SDP_TYPE, 'Accept-Post': SDP_TYPE }),
    POST: async (c) => {
      limitRate(c);
      await requireRoomAccess(c, room(c), permission);
      return post(c);
    },
    // RFC 9725 §4.6: a real OPTIONS may ask for ICE servers.
    options: (c) => iceLinksFor(c, requireRoomAccess(c, room(c), permission)),
    acceptPost: SDP_TYPE,
  };
}

/**
 * The offer; empty when the body is. @throws ProblemError 413; 415 unless it is `application/sdp` (an empty body needs no
 * media type).
 */
export async function readOffer(c: AppContext): Promise<string> {
  const type = mediaTypeOf(c.req.header('Content-Type') ?? null);
  if (type !== null && type !== SDP_TYPE) throw unsupportedType('Accept-Post', SDP_TYPE);
  const text = await readText(c.req.raw, MAX_SDP_BYTES);
  if (type === null && text !== '') throw unsupportedType('Accept-Post', SDP_TYPE);
  return text;
}
