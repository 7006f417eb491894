/** Going live: `P/live` (and `P/live/start`, `P/live/{id}`). Everybody in the lobby may look; only the owner may act. */
import { unwrap } from '../../shared/errors.ts';
import { randomBase32 } from '../../shared/ids.ts';
import { type App, type AppContext, settingsOf } from '../middleware/context.ts';
import { liveBodySchema, liveTarget } from '../stream-lobby/live-target.ts';
import type { LiveStatus } from '../stream-lobby/rpc.ts';
import { NOT_LIVE } from '../stream-lobby/stream-problems.ts';
import { JSON_TYPE, readJson } from './json-body.ts';
import { NO_STORE, noContent, route } from './methods.ts';
import { type GuardedCall, guarded, requireOwner } from './stream-guard.ts';
import { STREAM_PATH, streamInPath } from './stream-path.ts';

const LIVE_ID_BYTES = 10;

export function liveRoutes(app: App): void {
  const start = guarded(startLive);
  const show = guarded(showLive);
  const stop = guarded(stopLive);
  route(app, `${STREAM_PATH}/live`, {
    check: streamInPath,
    GET: show,
    POST: start,
    DELETE: stop,
    acceptPost: JSON_TYPE,
  });
  route(app, `${STREAM_PATH}/live/start`, { check: streamInPath, POST: start, acceptPost: JSON_TYPE });
  route(app, `${STREAM_PATH}/live/:live`, { check: streamInPath, GET: show, DELETE: stop });
}

async function startLive(c: AppContext, call: GuardedCall): Promise<Response> {
  await requireOwner(c, call);
  const body = await readJson(c, liveBodySchema);
  const url = liveTarget(body, settingsOf(c).liveAllowedHosts);
  const live = randomBase32(LIVE_ID_BYTES);
  unwrap(await call.room.startLive({ session: call.session, live, url }));
  const location = `/space/${call.space}/stream/${call.stream}/live/${live}`;
  return c.json({ resource: live }, 201, { ...NO_STORE, Location: location });
}

async function showLive(c: AppContext, { room, stream }: GuardedCall): Promise<Response> {
  const status = await room.liveStatus();
  checkLiveId(c, status);
  const { live, isLive, isLobbyRunning, state, error } = status;
  const isOnline = state === 'online' || state === 'starting';
  const body = { status: isOnline ? 'online' : 'offline', isLive, isLobbyRunning, streamId: stream, state };
  return c.json({ ...body, resource: live, error }, 200, NO_STORE);
}

async function stopLive(c: AppContext, call: GuardedCall): Promise<Response> {
  await requireOwner(c, call);
  unwrap(await call.room.stopLive({ live: c.req.param('live') ?? null }));
  return noContent();
}

/** The push that runs, or the last one. @throws ProblemError 404 `not_live` for every other */
function checkLiveId(c: AppContext, { live }: LiveStatus): void {
  const asked = c.req.param('live');
  if (asked !== undefined && asked !== live) unwrap({ ok: false, problem: NOT_LIVE });
}
