/**
 * One place that answers for the method of a request: a resource lists what it does, and the rest follows from HTTP
 * (RFC 9110 §9, §15.5.6, §15.6.2): HEAD as GET, OPTIONS and preflights, 405 with `Allow`, 501.
 */
import { ProblemError } from '../../shared/errors.ts';
import type { App, AppContext } from '../middleware/context.ts';
import { isPreflight } from '../middleware/cors.ts';

export type Handler = (c: AppContext) => Response | Promise<Response>;

export interface Resource {
  /** Runs before every method but a preflight: the syntax of the URL. Throws to refuse. */
  check?: (c: AppContext) => unknown;
  GET?: Handler;
  POST?: Handler;
  PUT?: Handler;
  PATCH?: Handler;
  DELETE?: Handler;
  /** Header fields that a real OPTIONS adds (a preflight never gets them). */
  options?: (c: AppContext) => HeadersInit | Promise<HeadersInit>;
  /** Media types for `Accept-Post` and `Accept-Patch`, told on OPTIONS. */
  acceptPost?: string;
  acceptPatch?: string;
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

/** Methods that HTTP servers are expected to know (RFC 9110 §9.1, RFC 5789): 405 for these, 501 for others. */
const KNOWN_METHODS = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'CONNECT']);

/**
 * Responses without content name a media type all the same: what has none is compressed by the embedded runtime for every
 * browser, and nothing, compressed, is no longer nothing.
 */
const EMPTY_TYPE = { 'Content-Type': 'application/octet-stream', 'Content-Length': '0' };

export function route(app: App, path: string, resource: Resource): void {
  app.all(path, (c) => respond(c, resource));
}

async function respond(c: AppContext, resource: Resource): Promise<Response> {
  // Hono hands HEAD in as GET and drops the body; the raw request still says what was asked.
  const method = c.req.raw.method;
  if (isPreflight(c.req.raw)) return optionsResponse(resource, []);
  await resource.check?.(c);
  if (method === 'OPTIONS') return optionsResponse(resource, (await resource.options?.(c)) ?? []);
  const handler = resource[(method === 'HEAD' ? 'GET' : method) as Method];
  if (handler !== undefined && isMethod(method)) return handler(c);
  if (!KNOWN_METHODS.has(method)) throw new ProblemError(501, 'not_implemented', 'this method is not implemented');
  throw new ProblemError(405, 'method_not_allowed', `${method} is not allowed here`, {
    headers: { Allow: allowOf(resource) },
  });
}

function isMethod(method: string): boolean {
  return method === 'HEAD' || ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].includes(method);
}

function optionsResponse(resource: Resource, extra: HeadersInit): Response {
  const headers = new Headers({ ...EMPTY_TYPE, Allow: allowOf(resource) });
  for (const [name, value] of new Headers(extra)) headers.set(name, value);
  if (resource.acceptPost !== undefined) headers.set('Accept-Post', resource.acceptPost);
  if (resource.acceptPatch !== undefined) headers.set('Accept-Patch', resource.acceptPatch);
  return new Response(null, { status: 200, headers });
}

function allowOf(resource: Resource): string {
  const methods = ['OPTIONS'];
  if (resource.GET !== undefined) methods.push('GET', 'HEAD');
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
    if (resource[method] !== undefined) methods.push(method);
  }
  return methods.join(', ');
}

/** For answers that are true for the moment and for whoever asked. */
export const NO_STORE = { 'Cache-Control': 'no-store' };

export function noContent(): Response {
  return new Response(null, { status: 204 });
}

/** 201 without content. */
export function emptyCreated(): Response {
  return new Response(null, { status: 201, headers: { ...EMPTY_TYPE, ...NO_STORE } });
}

/** 200 without content: DELETE (OBS, MediaMTX and others compare with exactly 200), GET and HEAD on WHIP resources. */
export function emptyOk(headers: Record<string, string> = {}): Response {
  return new Response(null, {
    status: 200,
    headers: { ...EMPTY_TYPE, ...NO_STORE, ...headers },
  });
}
