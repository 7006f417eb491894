/** Rooms and sessions of one server, opened as clients do. */
import { expect } from 'vitest';
import { readOffer } from '../../support/recorded-offers.ts';
import { type Description, readSdp } from './sdp.ts';
import type { Call, Reply } from './wire.ts';

export const SDP = { 'Content-Type': 'application/sdp' };
export const SDPFRAG = { 'Content-Type': 'application/trickle-ice-sdpfrag' };

/** What OBS and Chromium really offer. */
export const PUBLISH_OFFER = readOffer('obs32-publish');
export const PLAY_OFFER = readOffer('chromium-view');

let rooms = 0;

/** A name that no other test uses. */
export function freshRoom(): string {
  rooms += 1;
  return `room-${rooms}`;
}

export interface Session {
  readonly room: string;
  readonly location: string;
  readonly etag: string;
  readonly offer: string;
  readonly answer: Description;
  readonly reply: Reply;
}

export function post(body: string | Uint8Array | null, headers: Record<string, string> = {}) {
  return { method: 'POST', headers: { ...SDP, ...headers }, body };
}

/** A 201 with all that it must have (#1, #5, #7). */
export function sessionOf(reply: Reply, room: string, offer: string): Session {
  expect(reply.status, reply.body).toBe(201);
  const location = reply.header('Location') ?? '';
  const etag = reply.header('ETag') ?? '';
  expect(location).toMatch(/^\//);
  expect(etag).toMatch(/^"[^"]+"$/);
  return { room, location, etag, offer, answer: readSdp(reply.body), reply };
}

export async function publishIn(call: Call, room = freshRoom(), offer = PUBLISH_OFFER): Promise<Session> {
  return sessionOf(await call(`/api/whip/publish/${room}`, post(offer)), room, offer);
}

export async function playIn(call: Call, room: string, offer = PLAY_OFFER): Promise<Session> {
  return sessionOf(await call(`/api/whep/play/${room}`, post(offer)), room, offer);
}

export function patch(body: string | null, headers: Record<string, string> = {}) {
  return { method: 'PATCH', headers: { ...SDPFRAG, ...headers }, body };
}

/** Polls until `probe` holds; throws when it does not in time. */
export async function eventually(probe: () => Promise<boolean>, deadlineMs = 20_000): Promise<void> {
  const deadline = performance.now() + deadlineMs;
  while (!(await probe())) {
    if (performance.now() > deadline) throw new Error('it did not come true in time');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** All forms in which a room is published to. */
export const PUBLISH_URLS = [
  ['/api/whip/publish/{room}', (room: string) => `/api/whip/publish/${room}`],
  ['/webrtc/whip?streamid=', (room: string) => `/webrtc/whip?streamid=${room}`],
] as const;

/** All forms in which a room is played. */
export const PLAY_URLS = [
  ['/api/whep/play/{room}', (room: string) => `/api/whep/play/${room}`],
  ['/webrtc/whep?streamid=', (room: string) => `/webrtc/whep?streamid=${room}`],
] as const;
