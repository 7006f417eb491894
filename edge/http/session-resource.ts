/**
 * What a session's URL does, wherever it is spelled: `/resource/{rid}` for publishers and viewers, `/whip/{session_id}`
 * for publishers that joined first. The URL is the capability: several clients send no `Authorization` on PATCH and
 * DELETE (MediaMTX, Eyevinn, vue-wish), so none is asked for and none is looked at.
 */
import { type Outcome, ProblemError, unwrap } from '../../shared/errors.ts';
import { type NodeId, type RoomName, roomLobbyId, type SessionId } from '../../shared/ids.ts';
import type { NodeResult } from '../../shared/protocol/control.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import type { Env } from '../env.ts';
import { type AppContext, settingsOf } from '../middleware/context.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import { NO_SESSION } from '../problems.ts';
import { type ResourceId, readResourceId } from '../resource-id.ts';
import { MAX_SDP_BYTES, readText } from './body.ts';
import { mediaTypeOf, SDP_TYPE, SDPFRAG_TYPE, unsupportedType } from './media-types.ts';
import { emptyOk, noContent } from './methods.ts';

/** What is found out about a request before its session is asked. */
const REQUEST_FAULTS: ReadonlySet<number> = new Set([400, 413, 415]);

interface Patch {
  session: SessionId;
  fragment: string;
  ifMatch: string | null;
  strict: boolean;
}

/** The one that owns a session: the room's lobby for a publisher, the node itself for a viewer. */
export interface SessionOwner {
  readonly session: SessionId;
  /** Media types that PATCH understands. */
  readonly acceptPatch: string;
  patch(input: Patch): Promise<Outcome<NodeResult<'patch'>>>;
  /** Null: this session never awaits an answer. */
  answer: ((sdp: string) => Promise<Outcome<unknown>>) | null;
  probe(): Promise<Outcome<unknown>>;
  end(): Promise<Outcome<unknown>>;
}

/** The resource that the URL names. @throws ProblemError 404 when this edge did not write it: no object is called. */
export async function resourceIn(c: AppContext): Promise<ResourceId> {
  const rid = c.req.param('rid') ?? '';
  const resource = await readResourceId(rid, settingsOf(c).sessionSecret);
  if (resource !== null) return resource;
  // Guessing costs tokens.
  limitRate(c);
  throw noSession();
}

export function noSession(): ProblemError {
  return ProblemError.from(NO_SESSION);
}

export function publisherOf(env: Env, room: RoomName, session: SessionId): SessionOwner {
  const lobby = env.LOBBY.getByName(roomLobbyId(room));
  return {
    session,
    acceptPatch: SDPFRAG_TYPE,
    patch: (input) => lobby.patch(input),
    answer: null,
    probe: () => lobby.probe({ session }),
    end: () => lobby.unpublish({ session }),
  };
}

/** Viewers are many: their node is in the URL, and the lobby is not troubled. */
export function viewerOf(env: Env, resource: { node: NodeId; session: SessionId }): SessionOwner {
  const node = env.NODE_LINK.getByName(resource.node);
  const { session } = resource;
  return {
    session,
    acceptPatch: `${SDPFRAG_TYPE}, ${SDP_TYPE}`,
    patch: (input) => node.request({ method: 'patch', ...input }),
    answer: (answer) => node.request({ method: 'answer', session, answer }),
    probe: () => node.request({ method: 'probe', session }),
    end: () => node.request({ method: 'close', session }),
  };
}

/**
 * Trickle ICE, ICE restart (RFC 9725 §4.3), or the answer to an offer of ours (WHEP), by media type. Whatever is wrong
 * with the request, a session that is gone is 404.
 */
export async function patchSession(c: AppContext, owner: SessionOwner): Promise<Response> {
  limitRate(c);
  try {
    return await applyPatch(c, owner);
  } catch (error) {
    if (error instanceof ProblemError && REQUEST_FAULTS.has(error.status)) unwrap(await owner.probe());
    throw error;
  }
}

async function applyPatch(c: AppContext, owner: SessionOwner): Promise<Response> {
  const type = mediaTypeOf(c.req.header('Content-Type') ?? null);
  if (type === SDP_TYPE && owner.answer !== null) {
    const answer = await readText(c.req.raw, MAX_SDP_BYTES);
    parseSdp(answer);
    unwrap(await owner.answer(answer));
    return noContent();
  }
  if (type !== SDPFRAG_TYPE) throw unsupportedType('Accept-Patch', owner.acceptPatch);
  const result = unwrap(
    await owner.patch({
      session: owner.session,
      fragment: await readText(c.req.raw, MAX_SDP_BYTES),
      ifMatch: c.req.header('If-Match') ?? null,
      strict: settingsOf(c).strictPreconditions,
    }),
  );
  // No ETag on a trickle: its tag has not changed, and a new one means a restart.
  if (result.kind === 'trickled') return noContent();
  return new Response(result.fragment, {
    status: 200,
    headers: { 'Content-Type': SDPFRAG_TYPE, ETag: result.etag, 'Cache-Control': 'no-store' },
  });
}

/**
 * Ends the session: 200, because several clients compare with exactly that. `If-Match` is ignored (RFC 9725 §4.3.1). Only
 * a DELETE that finds nothing costs a token of the rate limit: tidying up is never refused.
 */
export async function deleteSession(c: AppContext, owner: SessionOwner): Promise<Response> {
  const outcome = await owner.end();
  if (!outcome.ok && outcome.problem.status === 404) limitRate(c);
  unwrap(outcome);
  return emptyOk();
}

/** GET and HEAD: 2xx without content while it lives (RFC 9725 §4.1). */
export async function showSession(c: AppContext, owner: SessionOwner): Promise<Response> {
  limitRate(c);
  unwrap(await owner.probe());
  return emptyOk();
}
