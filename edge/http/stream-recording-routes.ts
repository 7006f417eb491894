/** Recording a lobby: `P/recording`. Everybody in the lobby may know; only the owner may say. */
import type { App, AppContext } from '../middleware/context.ts';
import { NO_STORE, route } from './methods.ts';
import { type GuardedCall, guarded, requireOwner } from './stream-guard.ts';
import { STREAM_PATH, streamInPath } from './stream-path.ts';
import { readWantedRecording, recordingStatus, shownRecording } from './wanted-recording.ts';

export function recordingRoutes(app: App): void {
  route(app, `${STREAM_PATH}/recording`, {
    check: streamInPath,
    GET: guarded(status),
    PUT: guarded(begin),
    DELETE: guarded(end),
  });
}

async function status(c: AppContext, { room, lobby }: GuardedCall): Promise<Response> {
  return c.json(await recordingStatus(c, lobby, await room.recording({})), 200, NO_STORE);
}

async function begin(c: AppContext, call: GuardedCall): Promise<Response> {
  await requireOwner(c, call);
  const wish = await readWantedRecording(c);
  return c.json(shownRecording(await call.room.recording({ wish })), 200, NO_STORE);
}

async function end(c: AppContext, call: GuardedCall): Promise<Response> {
  await requireOwner(c, call);
  return c.json(shownRecording(await call.room.recording({ wish: null })), 200, NO_STORE);
}
