/**
 * The core extensions of WHEP on a player's session (draft webrtc-http-egress-events): choosing a layer, and server-sent
 * events. As with the session itself, the URL is the capability.
 */
import { z } from 'zod';
import { ProblemError, unwrap } from '../../shared/errors.ts';
import { PLAY_EVENTS, type PlayEvent, playEventSchema } from '../../shared/protocol/control.ts';
import type { App, AppContext } from '../middleware/context.ts';
import { limitRate } from '../middleware/rate-limit.ts';
import type { NodeLinkRpc } from '../node-link/rpc.ts';
import { readText } from './body.ts';
import { eventStream } from './event-stream.ts';
import { JSON_TYPE, parseJson, readJson } from './json-body.ts';
import { emptyOk, route } from './methods.ts';
import { noSession, resourceIn } from './session-resource.ts';

const URN = 'urn:ietf:params:whep:ext:core';
const MAX_BODY_BYTES = 4_096;

/** The `Link` values of a player's 201. medooze reads `events` behind a semicolon only. */
export function extensionLinks(location: string): string[] {
  return [
    `<${location}/sse>; rel="${URN}:server-sent-events"; events="${PLAY_EVENTS.join(',')}"`,
    `<${location}/layer>; rel="${URN}:layer"`,
  ];
}

type NodeLink = Pick<NodeLinkRpc, 'request'>;
type Player = {
  node: NodeLink;
  session: Extract<Awaited<ReturnType<typeof resourceIn>>, { kind: 'egress' }>['session'];
};

export function playExtensionRoutes(app: App): void {
  route(app, '/resource/:rid/layer', {
    check: playerIn,
    POST: async (c) => {
      limitRate(c);
      return choose(c, await readJson(c, layerSchema, MAX_BODY_BYTES));
    },
    DELETE: (c) => {
      limitRate(c);
      return choose(c, AUTOMATIC);
    },
    acceptPost: JSON_TYPE,
  });
  route(app, '/resource/:rid/sse', { check: playerIn, POST: openStream, acceptPost: JSON_TYPE });
  route(app, '/resource/:rid/sse/:stream', { check: playerIn, GET: readStream, DELETE: closeStream });
}

/** @throws ProblemError 404 when this edge did not write the URL, or it is not a player's */
async function playerIn(c: AppContext): Promise<Player> {
  const resource = await resourceIn(c);
  if (resource.kind !== 'egress' && resource.kind !== 'audience') throw noSession();
  return { node: c.env.NODE_LINK.getByName(resource.node), session: resource.session };
}

// ---- layers ---------------------------------------------------------------------------------------------------------

/** Libraries of older drafts send numbers as text, and the other way round. */
const textSchema = z.union([z.string().min(1).max(64), z.number()]).transform(String);
const numberSchema = z.coerce.number().nonnegative();
const sizeSchema = z.coerce.number().positive();

const layerSchema = z.object({
  mediaId: textSchema.nullish(),
  rid: textSchema.nullish(),
  /** The name of `rid` in older drafts. */
  encodingId: textSchema.nullish(),
  spatialLayerId: numberSchema.nullish(),
  temporalLayerId: numberSchema.nullish(),
  maxSpatialLayerId: numberSchema.nullish(),
  maxTemporalLayerId: numberSchema.nullish(),
  maxWidth: sizeSchema.nullish(),
  maxHeight: sizeSchema.nullish(),
});
type Layer = z.infer<typeof layerSchema>;

const AUTOMATIC: Layer = {};

async function choose(c: AppContext, layer: Layer): Promise<Response> {
  const { node, session } = await playerIn(c);
  // 0 is what a track without such layers is listed with.
  const parts = [layer.spatialLayerId, layer.temporalLayerId, layer.maxSpatialLayerId, layer.maxTemporalLayerId];
  if (parts.some((id) => id !== undefined && id !== null && id > 0)) {
    unwrap(await node.request({ method: 'probe', session }));
    throw new ProblemError(422, 'no_layer', 'layers within an encoding cannot be chosen');
  }
  const { mediaId = null, rid, encodingId, maxWidth = null, maxHeight = null } = layer;
  const chosen = rid ?? encodingId ?? null;
  unwrap(await node.request({ method: 'layer', session, media: mediaId, rid: chosen, maxWidth, maxHeight }));
  return emptyOk();
}

// ---- server-sent events ---------------------------------------------------------------------------------------------

const eventsSchema = z.array(z.string());

async function openStream(c: AppContext): Promise<Response> {
  limitRate(c);
  const { node, session } = await playerIn(c);
  const events = await wantedEvents(c);
  const { stream } = unwrap(await node.request({ method: 'open-events', session, events }));
  const response = emptyOk({ Location: `/resource/${c.req.param('rid')}/sse/${stream}` });
  return new Response(null, { status: 201, headers: response.headers });
}

/** @throws ProblemError 400 `unknown_event` */
async function wantedEvents(c: AppContext): Promise<PlayEvent[]> {
  const text = await readText(c.req.raw, MAX_BODY_BYTES);
  const names = text.trim() === '' ? [...PLAY_EVENTS] : parseJson(text, eventsSchema);
  const events = names.map((name) => {
    const event = playEventSchema.safeParse(name);
    if (event.success) return event.data;
    throw new ProblemError(400, 'unknown_event', `the events are ${PLAY_EVENTS.join(', ')}`);
  });
  if (events.length === 0) throw new ProblemError(400, 'unknown_event', 'at least one event has to be asked for');
  return [...new Set(events)];
}

async function readStream(c: AppContext): Promise<Response> {
  limitRate(c);
  const { node, session } = await playerIn(c);
  const stream = c.req.param('stream') ?? '';
  // Whether it is there is known before a stream begins.
  const probe = c.req.raw.method === 'HEAD';
  if (probe) unwrap(await node.request({ method: 'probe', session }));
  if (probe) return emptyOk();
  let fresh = true;
  return eventStream(c, () => {
    const outcome = node.request({ method: 'read-events', session, stream, fresh });
    fresh = false;
    return outcome;
  });
}

async function closeStream(c: AppContext): Promise<Response> {
  limitRate(c);
  const { node, session } = await playerIn(c);
  unwrap(await node.request({ method: 'close-events', session, stream: c.req.param('stream') ?? '' }));
  return emptyOk();
}
