/** People who ask for something, and what they bring. */
import type { Call } from './app.ts';

export const ADMIN = 'admin-token';
export const REGISTER = 'register-token';
export const JWT_SECRET = 'the key of the tokens, long enough for every HMAC';

export const bearer = (token: string): Record<string, string> => ({ Authorization: `Bearer ${token}` });

/** A request with a JSON body; a string is sent as it is. */
export function json(method: string, body: unknown, headers: Record<string, string> = {}): RequestInit {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return { method, headers: { 'Content-Type': 'application/json', ...headers }, body: text };
}

export function logIn(call: Call, user: string): Promise<Response> {
  return call('/authenticate', json('POST', { user, token: REGISTER, client: 'test' }));
}

/** The token of a user. `call` leads to a worker with `REGISTER_TOKEN=REGISTER`. */
export async function tokenOf(call: Call, user: string): Promise<string> {
  const response = await logIn(call, user);
  if (response.status !== 200) throw new Error(`login was answered with ${response.status}`);
  return ((await response.json()) as { jwt: string }).jwt;
}

/** What a token says, unverified. */
export function claimsIn(jwt: string): Record<string, unknown> {
  const payload = (jwt.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
  return JSON.parse(atob(payload)) as Record<string, unknown>;
}
