/** Going on air: `P/live` of a stream lobby. */
import { ClientError } from './errors.ts';
import type { GuardedRequests } from './guarded-requests.ts';

export interface LiveTarget {
  /** `rtmp:` or `rtmps:`, without the key. */
  rtmpUrl: string;
  streamKey: string;
}

export interface LiveStatus {
  /** `online` while the RTMP server takes the stream or is about to. */
  status: 'online' | 'offline';
  /** How the push fares; null when the server does not say. */
  state: 'starting' | 'online' | 'retrying' | 'ended' | null;
  isLive: boolean;
  /** Why it does not run; null when nothing went wrong. */
  error: string | null;
}

const STATES = ['starting', 'online', 'retrying', 'ended'] as const;

export async function startLive(
  guard: GuardedRequests,
  path: string,
  { rtmpUrl, streamKey }: LiveTarget,
): Promise<{ resource: string }> {
  const body = await request(guard, `${path}/live`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ rtmpUrl, streamKey }),
  });
  return { resource: typeof body.resource === 'string' ? body.resource : '' };
}

export async function readLive(guard: GuardedRequests, path: string): Promise<LiveStatus> {
  const body = await request(guard, `${path}/live`, { method: 'GET', cache: 'no-store' });
  return {
    status: body.status === 'online' ? 'online' : 'offline',
    state: STATES.find((state) => state === body.state) ?? null,
    isLive: body.isLive === true,
    error: typeof body.error === 'string' && body.error !== '' ? body.error : null,
  };
}

export async function endLive(guard: GuardedRequests, path: string): Promise<void> {
  await request(guard, `${path}/live`, { method: 'DELETE' });
}

/** The body of a 2xx as a record; an empty one when there is none. */
async function request(guard: GuardedRequests, url: string, init: RequestInit): Promise<Record<string, unknown>> {
  const response = await guard.send(url, init);
  if (!response.ok) throw await ClientError.fromResponse(response);
  const body: unknown = await response.json().catch(() => null);
  return typeof body === 'object' && body !== null ? (body as Record<string, unknown>) : {};
}
