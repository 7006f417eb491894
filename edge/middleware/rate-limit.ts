import { ProblemError } from '../../shared/errors.ts';
import type { Settings } from '../env.ts';
import { type AppContext, settingsOf } from './context.ts';
import { type Bucket, clientKey, type RateRule, takeToken } from './rate-limit-machine.ts';

/** An attacker with more addresses than this resets buckets, which costs others nothing. */
const MAX_CLIENTS = 10_000;

/**
 * Buckets of this isolate, least recently seen first. Each isolate counts by itself: this shields the objects behind it
 * from one busy client and is no exact quota.
 */
class ClientBuckets {
  readonly #buckets = new Map<string, Bucket>();

  /** Takes a token for `key`; the seconds to wait when there is none, else null. */
  take(key: string, rule: RateRule, nowMs: number): number | null {
    const verdict = takeToken(this.#buckets.get(key), rule, nowMs);
    this.#buckets.delete(key);
    this.#buckets.set(key, verdict.bucket);
    if (this.#buckets.size > MAX_CLIENTS) {
      const oldest = this.#buckets.keys().next();
      if (!oldest.done) this.#buckets.delete(oldest.value);
    }
    return verdict.allowed ? null : verdict.retryAfterSeconds;
  }
}

const buckets = new ClientBuckets();

/** @throws ProblemError 429 `rate_limited` when the client has used up its tokens. */
export function limitRate(c: AppContext): void {
  const { rateLimitRps: rps, rateLimitBurst: burst } = settingsOf(c);
  if (rps <= 0) return;
  const key = clientKey(clientAddress(c.req.raw, settingsOf(c)) ?? 'unknown');
  const retryAfterSeconds = buckets.take(key, { rps, burst }, Date.now());
  if (retryAfterSeconds === null) return;
  throw new ProblemError(429, 'rate_limited', 'too many requests', { retryAfterSeconds });
}

/**
 * Who asks: what the header of `CLIENT_IP_HEADER` says (of a list the last entry: the one that the proxy itself wrote), or
 * Cloudflare. Headers are anybody's word otherwise: without either all clients are one.
 */
export function clientAddress(
  request: Request,
  { clientIpHeader, embedded }: Pick<Settings, 'clientIpHeader' | 'embedded'>,
): string | null {
  const named = clientIpHeader === null ? null : request.headers.get(clientIpHeader);
  if (clientIpHeader !== null) return named?.split(',').at(-1)?.trim() || null;
  // Only Cloudflare's front adds `cf` to a request, and it overwrites this header.
  return !embedded && request.cf !== undefined ? request.headers.get('CF-Connecting-IP') : null;
}
