/**
 * Frames of a lobby's signal channel: binary UTF-8 JSON `{"id", "type", "data"}` with type 1 offer, 2 answer, 3 mute, 4
 * reconnect. Read here without a schema library, which would weigh more than the rest of a page.
 */

export interface OfferFrame {
  kind: 'offer';
  /** Of the message; the answer repeats it. */
  id: number;
  /** Counts the offers of one WHEP session from 1 on; the answer repeats it. */
  number: number;
  sdp: string;
}

export interface MuteFrame {
  kind: 'mute';
  /** Of the section in our own WHEP session. */
  mid: string;
  muted: boolean;
}

/** The node that carries the member is about to leave: come back by a new session. */
export interface ReconnectFrame {
  kind: 'reconnect';
}

export type SignalFrame = OfferFrame | MuteFrame | ReconnectFrame;

const OFFER = 1;
const ANSWER = 2;
const MUTE = 3;
const RECONNECT = 4;

/** Null for everything that is not for us or not readable. */
export function readSignalFrame(frame: ArrayBuffer | string): SignalFrame | null {
  try {
    const message: unknown = JSON.parse(typeof frame === 'string' ? frame : new TextDecoder().decode(frame));
    if (!isRecord(message) || !isRecord(message.data)) return null;
    const { data } = message;
    // Some servers of this family write the type as text.
    const type = Number(message.type);
    if (type === OFFER) return readOffer(message.id, data);
    if (type === RECONNECT) return { kind: 'reconnect' };
    if (type !== MUTE || typeof data.mid !== 'string' || typeof data.mute !== 'boolean') return null;
    return { kind: 'mute', mid: data.mid, muted: data.mute };
  } catch {
    return null;
  }
}

export function answerFrame({ id, number, sdp }: { id: number; number: number; sdp: string }): Uint8Array<ArrayBuffer> {
  return encode({ id, type: ANSWER, data: { number, sdp: { type: 'answer', sdp } } });
}

/** `mid`: of the section in our own WHIP session. */
export function muteFrame(mid: string, muted: boolean): Uint8Array<ArrayBuffer> {
  return encode({ id: 0, type: MUTE, data: { mid, mute: muted } });
}

function readOffer(id: unknown, data: Record<string, unknown>): OfferFrame | null {
  const sdp = isRecord(data.sdp) ? data.sdp.sdp : data.sdp;
  if (typeof sdp !== 'string' || !isCount(data.number)) return null;
  return { kind: 'offer', id: isCount(id) ? id : 0, number: data.number, sdp };
}

function isCount(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function encode(message: object): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(message));
}
