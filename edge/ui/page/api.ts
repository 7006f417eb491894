/** The server's JSON for the pages: `/api/bootstrap` and `/api/rooms`. */
import type { RoomSummary } from '../../rpc.ts';
import { ClientError } from '../clients/errors.ts';

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

async function fetchJson(path: string): Promise<unknown> {
  try {
    const response = await fetch(path, { headers: { Accept: 'application/json' }, cache: 'no-store' });
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
