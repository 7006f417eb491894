/** Room and token of the user: the address first, then what was used last. The token lives as long as the tab. */
import { recall, remember } from './storage.ts';

const ROOM_KEY = 'vestibule.room';
const TOKEN_KEY = 'vestibule.token';
const DEFAULT_ROOM = 'live';
/** The same rule as the server's (shared/ids.ts). */
const ROOM_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

export function isRoomName(name: string): boolean {
  return ROOM_PATTERN.test(name);
}

/** `?room=`, else the last room used, else `live`. A name that the server would refuse counts as absent. */
export function initialRoom(search: string = location.search): string {
  const candidates = [new URLSearchParams(search).get('room'), recall('local', ROOM_KEY)];
  return candidates.find((name) => name !== null && isRoomName(name)) ?? DEFAULT_ROOM;
}

export function rememberRoom(room: string): void {
  remember('local', ROOM_KEY, room);
}

export function storedToken(): string {
  return recall('session', TOKEN_KEY) ?? '';
}

export function rememberToken(token: string): void {
  remember('session', TOKEN_KEY, token);
}

export function publishUrl(room: string): string {
  return new URL(`/api/whip/publish/${encodeURIComponent(room)}`, location.href).href;
}

export function playUrl(room: string): string {
  return new URL(`/api/whep/play/${encodeURIComponent(room)}`, location.href).href;
}

export function pageUrl(page: 'publisher' | 'player', room: string): string {
  return new URL(`/web/${page}.html?room=${encodeURIComponent(room)}`, location.href).href;
}
