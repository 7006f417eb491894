/** What a node says on the data channel `vestibule-events`: the same as WHEP's server-sent events of these names. */

/** One encoding of a video that is sent in several. */
export interface VideoLayer {
  /** What the publisher calls it. */
  rid: string;
  /** Pixels; null: not known (yet). */
  width: number | null;
  height: number | null;
  /** Of the last second, when this was told. */
  bitrateBps: number;
  /** False: the publisher offered it and does not send it now. */
  active: boolean;
}

export type SessionEvent = { type: 'reconnect' } | { type: 'layers'; layers: VideoLayer[] };

/** Null for what is not understood: other servers may say other things. */
export function readSessionEvent(message: unknown): SessionEvent | null {
  try {
    const event: unknown = typeof message === 'string' ? JSON.parse(message) : null;
    if (!isObject(event)) return null;
    if (event.type === 'reconnect') return { type: 'reconnect' };
    if (event.type !== 'layers' || !isObject(event.data)) return null;
    // By the index of the m-section; what this client plays has one video.
    const [first] = Object.values(event.data);
    return { type: 'layers', layers: Array.isArray(first) ? first.flatMap(readLayer) : [] };
  } catch {
    return null;
  }
}

function readLayer(layer: unknown): VideoLayer[] {
  if (!isObject(layer) || typeof layer.rid !== 'string') return [];
  const bitrateBps = positive(layer.bitrate) ?? 0;
  return [
    {
      rid: layer.rid,
      width: positive(layer.width),
      height: positive(layer.height),
      bitrateBps,
      active: bitrateBps > 0,
    },
  ];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function positive(value: unknown): number | null {
  return typeof value === 'number' && value > 0 ? value : null;
}
