/**
 * Plain WHIP and WHEP beside the lobby, for clients without cookies and signal channel: `P/static/whip` sends main tracks
 * into a lobby that runs, `P/static/whep` plays them to an audience of any size.
 */
import { unwrap } from '../../shared/errors.ts';
import { mintSessionId } from '../../shared/ids.ts';
import { checkPlayOffer, checkPublishOffer } from '../../shared/sdp/offer-rules.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { requireIdentity } from '../middleware/auth.ts';
import { type App, type AppContext, settingsOf } from '../middleware/context.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import { writeResourceId } from '../resource-id.ts';
import { clientPlace } from './client-place.ts';
import { created } from './created.ts';
import { emptyBody, readOffer } from './endpoints.ts';
import { SDP_TYPE, SDPFRAG_TYPE } from './media-types.ts';
import { emptyOk, type Handler, route } from './methods.ts';
import { extensionLinks } from './play-extensions.ts';
import { membership, STREAM_PATH, streamInfo, streamInPath } from './stream-path.ts';
import { join, memberLocation } from './stream-routes.ts';

export function staticStreamRoutes(app: App): void {
  const endpoint = (post: Handler) => ({
    check: streamInPath,
    GET: () => emptyOk({ 'Content-Type': SDP_TYPE, 'Accept-Post': SDP_TYPE }),
    POST: post,
    acceptPost: SDP_TYPE,
  });
  route(app, `${STREAM_PATH}/static/whip`, endpoint(publishMain));
  route(app, `${STREAM_PATH}/static/whep`, endpoint(playMain));
}

/** For the members of the stream. */
async function publishMain(c: AppContext): Promise<Response> {
  limitRate(c);
  await membership(c);
  const offer = await readOffer(c);
  if (offer === '') throw emptyBody();
  checkPublishOffer(parseSdp(offer));
  // Again: a body may take its time, and who was sent out of the lobby meanwhile does not come back by it.
  const member = await membership(c);
  const { session, answer, etag } = await join(c, member, { fixed: true, offer });
  const location = await memberLocation(c, 'member', member, session);
  return created(c, { sdp: answer, etag, location, acceptPatch: SDPFRAG_TYPE });
}

/** For whoever has a good bearer. */
async function playMain(c: AppContext): Promise<Response> {
  limitRate(c);
  await requireIdentity(c);
  const path = streamInPath(c);
  await streamInfo(c, path);
  const offer = await readOffer(c);
  if (offer === '') throw emptyBody();
  checkPlayOffer(parseSdp(offer));
  const session = mintSessionId();
  const { lobby } = path;
  const near = clientPlace(c);
  const { sdp, etag, node } = unwrap(await c.env.STREAM_LOBBY.getByName(lobby).watch({ lobby, session, offer, near }));
  const rid = await writeResourceId({ kind: 'audience', node, session }, settingsOf(c).sessionSecret);
  const location = `/resource/${rid}`;
  return created(c, { sdp, etag, location, links: extensionLinks(location), acceptPatch: SDPFRAG_TYPE });
}
