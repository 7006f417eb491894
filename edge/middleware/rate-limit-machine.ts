/** A token bucket per client: refills at `rps` tokens a second up to `burst`; a request takes one. */

export interface RateRule {
  /** 0: no limit. */
  rps: number;
  /** At least 1. */
  burst: number;
}

export interface Bucket {
  tokens: number;
  updatedAtMs: number;
}

export type RateVerdict =
  | { allowed: true; bucket: Bucket }
  | { allowed: false; bucket: Bucket; retryAfterSeconds: number };

/** One request at `nowMs`. A client that was never seen (`undefined`) has a full bucket. A clock that steps back refills nothing. */
export function takeToken(bucket: Bucket | undefined, rule: RateRule, nowMs: number): RateVerdict {
  const elapsedMs = bucket === undefined ? 0 : Math.max(0, nowMs - bucket.updatedAtMs);
  const before = bucket === undefined ? rule.burst : bucket.tokens;
  const tokens = Math.min(rule.burst, before + (elapsedMs * rule.rps) / 1000);
  if (rule.rps <= 0) return { allowed: true, bucket: { tokens: rule.burst, updatedAtMs: nowMs } };
  if (tokens >= 1) return { allowed: true, bucket: { tokens: tokens - 1, updatedAtMs: nowMs } };
  const retryAfterSeconds = Math.max(1, Math.ceil((1 - tokens) / rule.rps));
  return { allowed: false, bucket: { tokens, updatedAtMs: nowMs }, retryAfterSeconds };
}

/**
 * Who is counted: an IPv4 address, or the /64 of an IPv6 address, because one household or attacker owns all of it.
 * Anything else is counted as it is written.
 */
export function clientKey(address: string): string {
  const bare = address.trim().toLowerCase();
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/.exec(bare);
  if (mapped?.[1] !== undefined) return mapped[1];
  if (!/^[0-9a-f:]+$/.test(bare) || !bare.includes(':')) return bare;
  const [head = '', tail] = bare.split('::');
  const left = head === '' ? [] : head.split(':');
  const right = tail === undefined || tail === '' ? [] : tail.split(':');
  const zeros = Math.max(0, 8 - left.length - right.length);
  const groups = tail === undefined ? left : [...left, ...Array.from({ length: zeros }, () => '0'), ...right];
  const prefix = groups.slice(0, 4).map((group) => (group === '' ? '0' : group.replace(/^0+(?=.)/, '')));
  return `${prefix.join(':')}::/64`;
}
