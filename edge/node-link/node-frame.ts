import { type NodeFrame, nodeFrameSchema } from '../../shared/protocol/control.ts';

/** A frame as it came from a node; null when it fits nothing. */
export function parseNodeFrame(data: string | ArrayBuffer): NodeFrame | null {
  if (typeof data !== 'string') return null;
  try {
    return nodeFrameSchema.safeParse(JSON.parse(data)).data ?? null;
  } catch {
    return null;
  }
}
