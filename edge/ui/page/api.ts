/** The server's JSON for the pages. */
import type { RoomSummary } from '../../rpc.ts';
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

async function fetchJson(path: string, init: RequestInit = {}): Promise<unknown> {
  try {
    const headers = { Accept: 'application/json', ...init.headers };
    const response = await fetch(path, { ...init, headers, cache: 'no-store' });
    if (!response.ok) throw await ClientError.fromResponse(response);
    return await response.json();
  } catch (thrown) {
    throw ClientError.fromUnknown(thrown);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function isRoom(value: unknown): value is RoomSummary {
  return isRecord(value) && typeof value.name === 'string';
}
