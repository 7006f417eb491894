/**
 * The public keys of tokens that others mint (RFC 7517), fetched from `JWKS_URL` and kept. Keys that are not there are
 * looked for again after a cooldown, and a server that does not answer is left alone for a while: strangers' tokens must
 * not become requests to it.
 */
import { createLocalJWKSet, createRemoteJWKSet, errors, type JWTVerifyGetKey } from 'jose';
import { ProblemError } from '../../shared/errors.ts';

const KEEP_MS = 600_000;
/** Between two looks for a key that the set does not have. */
const COOLDOWN_MS = 30_000;
const TIMEOUT_MS = 5_000;
/** After a failure. */
const PAUSE_MS = 5_000;

/** Of this isolate, by URL. */
const sets = new Map<string, JWTVerifyGetKey>();

/** @throws (from the function returned) ProblemError 503 `keys_unavailable`; jose's errors for a key that is not there. */
export function remoteKeys(url: string): JWTVerifyGetKey {
  const known = sets.get(url);
  if (known !== undefined) return known;
  const made = guarded(
    createRemoteJWKSet(new URL(url), {
      cacheMaxAge: KEEP_MS,
      cooldownDuration: COOLDOWN_MS,
      timeoutDuration: TIMEOUT_MS,
    }),
  );
  sets.set(url, made);
  return made;
}

function guarded(remote: ReturnType<typeof createRemoteJWKSet>): JWTVerifyGetKey {
  let pausedUntilMs = 0;
  return async (header, token) => {
    const paused = Date.now() < pausedUntilMs;
    const kept = remote.fresh ? remote.jwks() : undefined;
    if (paused && kept === undefined) throw unavailable();
    try {
      // The keys of before the failure are as good as ever.
      return await (paused && kept !== undefined ? createLocalJWKSet(kept) : remote)(header, token);
    } catch (error) {
      if (isAboutToken(error)) throw error;
      pausedUntilMs = Date.now() + PAUSE_MS;
      console.error('JWKS_URL gives no keys:', error instanceof Error ? error.message : String(error));
      throw unavailable();
    }
  };
}

/** Everything else is about the server. */
function isAboutToken(error: unknown): boolean {
  return (
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys ||
    error instanceof errors.JOSENotSupported
  );
}

function unavailable(): ProblemError {
  return new ProblemError(503, 'keys_unavailable', 'the keys that the token needs cannot be fetched now', {
    retryAfterSeconds: PAUSE_MS / 1000,
  });
}
