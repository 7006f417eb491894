/** What every session needs of its process. */
import type { Forwarder } from '../forward/types.ts';
import type { MediaEndpoint } from '../transport/types.ts';

export interface NodeContext {
  endpoint: MediaEndpoint;
  forwarder: Forwarder;
  /** Monotonic milliseconds. */
  now(): number;
  log(message: string): void;
}

/**
 * A session that never connected is given up after this. Clients without candidates have until the PAC timer of RFC 8863
 * (39.5 s) to send their first check.
 */
export const CONNECT_TIMEOUT_MS = 42_000;

/** A publisher that sent nothing at all for this long is reported as silent; the edge starts its grace. */
export const PUBLISHER_SILENCE_MS = 6_000;

/**
 * The same of a member of a stream lobby, who is promised to be gone from the others within the grace and 5 s. Clients that
 * send no media check their consent every 4 to 6 s (RFC 7675 §5.1) and seem silent now and then, which does no harm.
 */
export const MEMBER_SILENCE_MS = 4_500;

/**
 * A peer from which nothing authenticated came for this long is gone. Lite agents do not run consent checks themselves
 * (RFC 9725 §4.2), so this is RFC 7675's 30 s applied to whatever arrives: STUN, SRTP or SRTCP (FFmpeg 8.0 sends no STUN
 * once it streams).
 */
export const PEER_EXPIRY_MS = 30_000;
