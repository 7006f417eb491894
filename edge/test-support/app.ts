/** The app with changed settings and the real Durable Objects behind it, and the requests that tests make most. */
import { env } from 'cloudflare:workers';
import type { Env } from '../env.ts';
import { buildApp } from '../http/app.ts';
import { PLAY_OFFER, PUBLISH_OFFER } from './sample-sdp.ts';
import { EDGE_ORIGIN } from './worker.ts';

export type Call = (path: string, init?: RequestInit) => Promise<Response>;

/** The settings that a deployment may have, by variable name. */
export type TestSettings = Partial<
  Record<
    Exclude<
      keyof Env,
      'LOBBY' | 'AUDIENCE' | 'NODE_LINK' | 'FLEET' | 'SPACE' | 'STREAM_LOBBY' | 'RECORDS' | 'RECORDINGS' | 'ASSETS'
    >,
    string
  >
>;

/** A worker that was deployed with these settings. Its objects are those of every other one. */
export function deployed(settings: TestSettings = {}): Call {
  const app = buildApp();
  const bindings = { ...(env as unknown as Env), ...settings };
  return async (path, init = {}) => {
    return app.fetch(new Request(new URL(path, EDGE_ORIGIN), { redirect: 'manual', ...init }), bindings);
  };
}

export const SDP = { 'Content-Type': 'application/sdp' };
export const SDPFRAG = { 'Content-Type': 'application/trickle-ice-sdpfrag' };

export function post(body: string | null, headers: Record<string, string> = {}): RequestInit {
  return { method: 'POST', headers: { ...SDP, ...headers }, ...(body === null ? {} : { body }) };
}

/** Opens a publisher and returns its path. */
export async function publishIn(call: Call, room: string, headers: Record<string, string> = {}): Promise<string> {
  return locationOf(await call(`/api/whip/publish/${room}`, post(PUBLISH_OFFER, headers)));
}

/** Opens a viewer and returns its path. */
export async function playIn(call: Call, room: string, headers: Record<string, string> = {}): Promise<string> {
  return locationOf(await call(`/api/whep/play/${room}`, post(PLAY_OFFER, headers)));
}

export function locationOf(response: Response): string {
  const location = response.headers.get('Location');
  if (response.status !== 201 || location === null) throw new Error(`expected a session, got ${response.status}`);
  return location;
}

export interface ProblemBody {
  type: string;
  title: string;
  status: number;
  code: string;
  detail: string;
  error: string;
}

/** The body of a refusal. */
export async function problemOf(response: Response): Promise<ProblemBody> {
  return (await response.json()) as ProblemBody;
}

/** The body as text; `text()` warns when the media type is not `text/…`. */
export async function textOf(response: Response): Promise<string> {
  return new TextDecoder().decode(await response.arrayBuffer());
}
