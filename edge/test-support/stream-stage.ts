/** A stream with an owner and two guests, and members who remember their cookie and the last token they were given. */
import { runInDurableObject } from 'cloudflare:test';
import { expect } from 'vitest';
import { type LobbyId, streamIdSchema } from '../../shared/ids.ts';
import { objects, stub } from '../lobby/objects-under-test.ts';
import type { StreamState } from '../stream-lobby/stream-state.ts';
import { type Call, deployed, post, SDP, type TestSettings } from './app.ts';
import { memberOffer } from './sample-sdp.ts';

export const STREAM = streamIdSchema.parse('3b241101-e2bb-4255-8caf-4136c566a962');
export const SPACE = 's1';
export const P = `/space/${SPACE}/stream/${STREAM}`;
export const LOBBY = `stream:${SPACE}/${STREAM}` as LobbyId;
export const CAMERA = ['1 2 Cam', '1 2 Cam'];
export const MAIN = ['2 2 Main', '2 2 Main'];

const REGISTER = 'register-token';

export const lobby = () => objects.STREAM_LOBBY.getByName(LOBBY);

/** The one worker that the tests' members talk to, unless they say otherwise. */
export function stage(settings: TestSettings = {}): Call {
  return deployed({ REGISTER_TOKEN: REGISTER, LIVE_ALLOWED_HOSTS: '', ...settings });
}

/** Puts the stream there: u1 owns it, u2 and u3 are guests. */
export async function putStream(uuid = STREAM, guests = ['u2', 'u3']): Promise<void> {
  const info = { uuid, title: 'Show', owner: 'u1', guests };
  await objects.SPACE.getByName(SPACE).put({ stream: info, onlyNew: false });
}

export async function bearerOf(call: Call, user: string): Promise<Record<string, string>> {
  const response = await call('/authenticate', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ user, token: REGISTER, client: 'test' }),
  });
  expect(response.status).toBe(200);
  return { Authorization: `Bearer ${((await response.json()) as { jwt: string }).jwt}` };
}

export class Visitor {
  readonly call: Call;
  readonly user: string;
  readonly bearer: Record<string, string>;
  /** As the browser would send it. */
  cookie = '';
  token = '';
  location = '';

  constructor(call: Call, user: string, bearer: Record<string, string>) {
    this.call = call;
    this.user = user;
    this.bearer = bearer;
  }

  static async named(call: Call, user: string): Promise<Visitor> {
    return new Visitor(call, user, await bearerOf(call, user));
  }

  /** `POST P/whip`; takes what it is given when it is let in. */
  async enter(information: readonly string[] = CAMERA, path = `${P}/whip`): Promise<Response> {
    const response = await this.call(path, post(memberOffer(information), this.bearer));
    if (response.status === 201) {
      this.cookie = response.headers.get('Set-Cookie')?.split(';')[0] ?? '';
      this.token = response.headers.get('X-Req-Token') ?? '';
      this.location = response.headers.get('Location') ?? '';
    }
    return response;
  }

  /** With cookie and token; keeps the next token. */
  async guarded(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { Cookie: this.cookie, 'X-Req-Token': this.token, ...init.headers };
    const response = await this.call(path, { method, ...init, headers });
    this.token = response.headers.get('X-Req-Token') ?? this.token;
    return response;
  }

  listen(offer: string | null = null): Promise<Response> {
    return this.guarded('POST', `${P}/whep`, { headers: SDP, ...(offer === null ? {} : { body: offer }) });
  }

  startLive(body: unknown, path = `${P}/live`): Promise<Response> {
    const text = typeof body === 'string' ? body : JSON.stringify(body);
    return this.guarded('POST', path, { headers: { 'Content-Type': 'application/json' }, body: text });
  }

  async status(path = `${P}/live`): Promise<Record<string, unknown>> {
    const response = await this.guarded('GET', path);
    expect(response.status).toBe(200);
    return (await response.json()) as Record<string, unknown>;
  }
}

/** Logs in and enters. */
export async function visitorIn(call: Call, user: string, information = CAMERA): Promise<Visitor> {
  const visitor = await Visitor.named(call, user);
  expect((await visitor.enter(information)).status).toBe(201);
  return visitor;
}

/** What the lobby has in storage. */
export function storedLobby(): Promise<StreamState | undefined> {
  return runInDurableObject(stub(lobby()), (_, state) => state.storage.kv.get<StreamState>('lobby'));
}
