import { exports } from 'cloudflare:workers';

/** The worker under test, through its own entry point. The platform's type of `exports` needs a generated file. */
const worker = (exports as unknown as { default: { fetch(request: Request): Promise<Response> } }).default;

export const EDGE_ORIGIN = 'http://edge.test';

/** Sends a request to the worker under test; `path` is resolved against `EDGE_ORIGIN`. */
export function callWorker(path: string, init: RequestInit = {}): Promise<Response> {
  return worker.fetch(new Request(new URL(path, EDGE_ORIGIN), { redirect: 'manual', ...init }));
}
