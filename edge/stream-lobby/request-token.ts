/** Request tokens: made here, kept by the lobby only as a hash, so that nothing in storage opens a session. */
import { randomBase32 } from '../../shared/ids.ts';

/** 52 characters; the contract asks for at least 34. */
const TOKEN_BYTES = 32;

export function mintRequestToken(): string {
  return randomBase32(TOKEN_BYTES);
}

/** SHA-256 in hex. The token is random and long, so that a plain hash is enough. */
export async function hashOfToken(token: string): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(token)));
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
