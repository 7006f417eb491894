import { ProblemError } from '../../shared/errors.ts';
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
  const key = clientKey(clientAddress(c.req.raw.headers) ?? 'unknown');
  const retryAfterSeconds = buckets.take(key, { rps, burst }, Date.now());
  if (retryAfterSeconds === null) return;
  throw new ProblemError(429, 'rate_limited', 'too many requests', { retryAfterSeconds });
}

/**
 * Cloudflare says who asks, and so may a proxy before the embedded edge, which otherwise tells it by the last entry of
 * `X-Forwarded-For`: the one that the proxy itself wrote. The embedded runtime alone knows nobody: all clients are one.
 */
export function clientAddress(headers: Headers): string | null {
  return headers.get('CF-Connecting-IP') ?? headers.get('X-Forwarded-For')?.split(',').at(-1)?.trim() ?? null;
}
