/** The server's JSON for the pages. */
import type { RoomSummary } from '../../fleet/rpc.ts';
import { ClientError } from '../clients/errors.ts';
import { type StreamChoice, streamPath } from './stream-preferences.ts';

export interface Bootstrap {
  authEnabled: boolean;
  roomsListed: boolean;
}

/** Throws `ClientError`. */
export async function fetchBootstrap(): Promise<Bootstrap> {
  const body = await fetchJson('/api/bootstrap');
  const record = isRecord(body) ? body : {};
  const features = isRecord(record.features) ? record.features : {};
  return { authEnabled: record.authEnabled === true, roomsListed: features.rooms !== false };
}

/** Throws `ClientError`. */
export async function fetchRooms(): Promise<RoomSummary[]> {
  const body = await fetchJson('/api/rooms');
  return Array.isArray(body) ? body.filter(isRoom) : [];
}

export interface StreamDetails {
  title: string;
  isOwner: boolean;
}

/** What a member may know of a stream. Throws `ClientError`: 401, 403 no member, 404. */
export async function fetchStream(choice: StreamChoice, token: string): Promise<StreamDetails> {
  const body = await fetchJson(streamPath(choice), { headers: { Authorization: `Bearer ${token}` } });
  const record = isRecord(body) ? body : {};
  // The list of guests is for the owner only.
  return { title: typeof record.title === 'string' ? record.title : '', isOwner: Array.isArray(record.guests) };
}

/** A token for a user, by the register token. Throws `ClientError`: 400, 401. */
export async function fetchMemberToken(user: string, registerToken: string): Promise<string> {
  const body = await fetchJson('/authenticate', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user, token: registerToken, client: 'web' }),
  });
  if (!isRecord(body) || typeof body.jwt !== 'string') {
    throw new ClientError('The server gave no token', { code: 'bad_answer' });
  }
  return body.jwt;
}

export interface RecordSummary {
  name: string;
  room: string | null;
  /** Whose lobby it was, when it was no room. */
  stream: { space: string; stream: string } | null;
  state: 'recording' | 'finalising' | 'uploading' | 'ready' | 'failed';
  size: number;
  uploadedBytes: number;
  durationMs: number;
  codecs: string[];
  /** ISO 8601 */
  startedAt: string;
  error: string | null;
  /** Where the file is; null while it is not ready. */
  url: string | null;
}

export interface RecordPage {
  records: RecordSummary[];
  /** Path of the page behind this one; null: there is none. */
  next: string | null;
}

/** Newest first; `next`: the page that another one named. Throws `ClientError`: 401, 403. */
export async function fetchRecords(wish: { token: string; room: string | null; next?: string }): Promise<RecordPage> {
  const query = wish.room === null ? '' : `?room=${encodeURIComponent(wish.room)}`;
  const response = await fetchOk(wish.next ?? `/api/records${query}`, { headers: bearer(wish.token) });
  const body: unknown = await response.json().catch(() => null);
  const next = /^<([^>]+)>; rel="next"$/.exec(response.headers.get('Link') ?? '')?.[1] ?? null;
  return { records: Array.isArray(body) ? body.filter(isRecording) : [], next };
}

/** Throws `ClientError`: 401, 403, 404, 409 while it is being made. */
export async function deleteRecord(name: string, token: string): Promise<void> {
  await fetchOk(`/records/${encodeURIComponent(name)}`, { method: 'DELETE', headers: bearer(token) });
}

function bearer(token: string): Record<string, string> {
  return token === '' ? {} : { Authorization: `Bearer ${token}` };
}

async function fetchJson(path: string, init: RequestInit = {}): Promise<unknown> {
  try {
    return await (await fetchOk(path, init)).json();
  } catch (thrown) {
    throw ClientError.fromUnknown(thrown);
  }
}

async function fetchOk(path: string, init: RequestInit): Promise<Response> {
  try {
    const headers = { Accept: 'application/json', ...init.headers };
    const response = await fetch(path, { ...init, headers, cache: 'no-store' });
    if (!response.ok) throw await ClientError.fromResponse(response);
    return response;
  } catch (thrown) {
    throw ClientError.fromUnknown(thrown);
  }
}

function isRecording(value: unknown): value is RecordSummary {
  return isRecord(value) && typeof value.name === 'string' && typeof value.state === 'string';
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isRoom(value: unknown): value is RoomSummary {
  return isRecord(value) && typeof value.name === 'string';
}
