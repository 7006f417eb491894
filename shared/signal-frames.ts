/**
 * Frames of the signal channel: JSON that a member and its media node exchange over a data channel. Written in one form
 * (numbers and objects, as shigde's server does), read tolerantly (its SDK writes the type as text and the SDP bare).
 * Runs in browsers, workerd and Node.
 */
import { z } from 'zod';

/**
 * The `type` of a frame. `reconnect`: the node is about to leave; the member shall come back with new sessions, elsewhere,
 * and then leave these. Clients that do not know it ignore it.
 */
export const SIGNAL = { offer: 1, answer: 2, mute: 3, reconnect: 4 } as const;
export type SignalType = keyof typeof SIGNAL;

/** Longer frames are not read: an answer of a hundred sections stays below. UTF-16 units of text, bytes otherwise. */
export const MAX_SIGNAL_FRAME_LENGTH = 256 * 1024;
const MAX_UINT32 = 0xffff_ffff;

const counter = z.int().min(0).max(MAX_UINT32);

function sdpData<T extends 'offer' | 'answer'>(type: T) {
  return z.object({
    /** Offers are numbered from 0 (the one over HTTP); an answer bears the number of its offer. */
    number: counter,
    sdp: z.preprocess(
      (value) => (typeof value === 'string' ? { type, sdp: value } : value),
      z.object({ type: z.literal(type), sdp: z.string() }),
    ),
  });
}

/** Absent in some clients' frames; it only comes back in the answer. */
const id = counter.default(0);

export const offerFrameSchema = z.object({ id, type: z.literal(SIGNAL.offer), data: sdpData('offer') });
export const answerFrameSchema = z.object({ id, type: z.literal(SIGNAL.answer), data: sdpData('answer') });
export const muteFrameSchema = z.object({
  id,
  type: z.literal(SIGNAL.mute),
  data: z.object({ mid: z.string().max(256), mute: z.boolean() }),
});

export const reconnectFrameSchema = z.object({ id, type: z.literal(SIGNAL.reconnect), data: z.object({}) });

const signalFrameSchema = z.preprocess(
  readType,
  z.discriminatedUnion('type', [offerFrameSchema, answerFrameSchema, muteFrameSchema, reconnectFrameSchema]),
);

export type OfferFrame = z.infer<typeof offerFrameSchema>;
export type AnswerFrame = z.infer<typeof answerFrameSchema>;
export type MuteFrame = z.infer<typeof muteFrameSchema>;
export type ReconnectFrame = z.infer<typeof reconnectFrameSchema>;
export type SignalFrame = OfferFrame | AnswerFrame | MuteFrame | ReconnectFrame;

/** `2`, `"2"` and `"answer"` are the same type. */
function readType(frame: unknown): unknown {
  if (typeof frame !== 'object' || frame === null || !('type' in frame)) return frame;
  const { type } = frame;
  if (typeof type !== 'string') return frame;
  const named = Object.hasOwn(SIGNAL, type) ? SIGNAL[type as SignalType] : Number(type);
  return { ...frame, type: named };
}

/** JSON text; the node sends it as a binary message, because clients of the seed drop text. */
export function encodeFrame(frame: SignalFrame): string {
  return JSON.stringify(frame);
}

export function offerFrame(number: number, sdp: string): OfferFrame {
  return { id: 0, type: SIGNAL.offer, data: { number, sdp: { type: 'offer', sdp } } };
}

/** @param offer the frame that is answered: its id and number come back */
export function answerFrame(offer: OfferFrame, sdp: string): AnswerFrame {
  return { id: offer.id, type: SIGNAL.answer, data: { number: offer.data.number, sdp: { type: 'answer', sdp } } };
}

export function muteFrame(mid: string, mute: boolean): MuteFrame {
  return { id: 0, type: SIGNAL.mute, data: { mid, mute } };
}

export function reconnectFrame(): ReconnectFrame {
  return { id: 0, type: SIGNAL.reconnect, data: {} };
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: false });

/** Null when it is not a frame: too long, not UTF-8, not JSON, of another shape. Never throws. */
export function decodeFrame(data: Uint8Array | string): SignalFrame | null {
  if (data.length > MAX_SIGNAL_FRAME_LENGTH) return null;
  let value: unknown;
  try {
    value = JSON.parse(typeof data === 'string' ? data : utf8.decode(data));
  } catch {
    return null;
  }
  const { success, data: frame } = signalFrameSchema.safeParse(value);
  return success ? frame : null;
}
