/** Times between attempts: doubling, capped, jittered so that a thousand viewers of a lost node do not return as one. */

export const BACKOFF_BASE_MS = 400;
export const BACKOFF_CAP_MS = 8_000;
/** Spread added on top of a server's Retry-After. */
export const RETRY_AFTER_SPREAD_MS = 500;
/** A server that asks for more is asked again at this interval all the same: people are watching. */
export const RETRY_AFTER_CAP_MS = 60_000;

export interface BackoffInput {
  /** Failed attempts in a row before this one; 0 for the first. */
  attempt: number;
  /** Uniform in [0, 1). */
  random: number;
  /** The server's wish; null when it had none. Never undercut, up to `RETRY_AFTER_CAP_MS`. */
  retryAfterMs?: number | null;
}

/** Delay before the next attempt in ms: between half and all of the doubled base, or the server's wish if longer. */
export function backoffDelayMs({ attempt, random, retryAfterMs = null }: BackoffInput): number {
  const full = Math.min(BACKOFF_CAP_MS, BACKOFF_BASE_MS * 2 ** Math.min(attempt, 16));
  const own = full / 2 + (full / 2) * random;
  if (retryAfterMs === null) return Math.round(own);
  const asked = Math.min(retryAfterMs, RETRY_AFTER_CAP_MS) + RETRY_AFTER_SPREAD_MS * random;
  return Math.round(Math.max(own, asked));
}
