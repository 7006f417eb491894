/** The whole system with streams in it, and the ways into their lobbies. */
import { createHmac } from 'node:crypto';
import { type Reply, type Sent, send } from '../../conformance/support/wire.ts';
import { startVestibule, type Vestibule } from '../start-vestibule.ts';
import type { Entry } from './lobby-member.ts';

export const REGISTER_TOKEN = 'register-token-of-the-tests';
export const ADMIN_TOKEN = 'admin-token-of-the-tests';
export const JWT_SECRET = 'a-jwt-secret-that-is-long-enough-for-hs256';
export const SESSION_SECRET = 'a-session-secret-of-the-tests-that-is-long';

/** What the edge has to be told so that the streams of the tests can be made and entered. */
export const LOBBY_SETTINGS = {
  REGISTER_TOKEN,
  JWT_SECRET,
  SESSION_SECRET,
  LIVE_ALLOWED_HOSTS: '127.0.0.1',
};

const SPACE = 's1';

/** Who is in the streams of the tests: the owner, and who is invited. */
export const OWNER = 'u1';
const GUESTS = ['u2', 'u3', 'u4', 'u5'];

export interface LobbyServerOptions {
  /** Below that of the tests. */
  env?: Readonly<Record<string, string>>;
}

export interface StreamPath {
  readonly space: string;
  readonly id: string;
  /** `/space/{space}/stream/{id}`. */
  readonly path: string;
}

export class LobbyServer implements AsyncDisposable {
  readonly vestibule: Vestibule;
  readonly #adminToken: string;
  readonly #tokens = new Map<string, Promise<string>>();

  private constructor(vestibule: Vestibule, adminToken: string) {
    this.vestibule = vestibule;
    this.#adminToken = adminToken;
  }

  static async start({ env = {} }: LobbyServerOptions = {}): Promise<LobbyServer> {
    return new LobbyServer(await startVestibule({ env: { ADMIN_TOKEN, ...LOBBY_SETTINGS, ...env } }), ADMIN_TOKEN);
  }

  /** A system that runs already, with `LOBBY_SETTINGS`. Whoever started it stops it. */
  static on(vestibule: Vestibule, adminToken: string): LobbyServer {
    return new LobbyServer(vestibule, adminToken);
  }

  /** One request; headers as they stand on the wire. */
  call(path: string, sent: Sent = {}): Promise<Reply> {
    return send(this.vestibule.url, path, sent);
  }

  /** A stream of its own for each test, owned by `u1`. */
  async stream(guests: readonly string[] = GUESTS): Promise<StreamPath> {
    const id = crypto.randomUUID();
    const path = `/space/${SPACE}/stream/${id}`;
    const reply = await this.call(path, {
      method: 'PUT',
      headers: { Authorization: `Bearer ${this.#adminToken}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ title: 'A test', owner: OWNER, guests }),
    });
    if (reply.status !== 201) throw new Error(`PUT ${path}: ${reply.status} ${reply.body}`);
    return { space: SPACE, id, path };
  }

  /** For `user` to enter there. */
  async entry({ path }: StreamPath, user: string): Promise<Entry> {
    return { url: this.vestibule.url, path, user, bearer: await this.login(user) };
  }

  /** The user's token, as a trusted back end gets it. */
  login(user: string): Promise<string> {
    const known = this.#tokens.get(user) ?? this.#authenticate(user);
    this.#tokens.set(user, known);
    return known;
  }

  stop(): Promise<void> {
    return this.vestibule.stop();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.stop();
  }

  async #authenticate(user: string): Promise<string> {
    const reply = await this.call('/authenticate', {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ user, token: REGISTER_TOKEN, client: 'tests' }),
    });
    if (reply.status !== 200) throw new Error(`POST /authenticate: ${reply.status} ${reply.body}`);
    return (reply.json as { jwt: string }).jwt;
  }
}

/** A JWT with these claims, signed by whoever knows `secret`. */
export function mintJwt(claims: object, secret: string): string {
  const text = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url');
  const signed = `${text({ alg: 'HS256', typ: 'JWT' })}.${text(claims)}`;
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`;
}
