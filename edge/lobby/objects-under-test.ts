/** The real objects of the worker under test, and looks into their storage. For tests in workerd only. */
import { runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { type LobbyId, mintSessionId, type NodeId, type SessionId } from '../../shared/ids.ts';
import { admit } from '../audience/admission.ts';
import { type Env, FLEET_NAME } from '../env.ts';
import { PLAY_OFFER, PUBLISH_OFFER } from '../test-support/sample-sdp.ts';
import type { LobbyRpc } from './rpc.ts';

export const objects = env as unknown as Env;

/** The helpers of `cloudflare:test` ask for the platform's own stub type. */
export function stub(object: object): DurableObjectStub {
  return object as unknown as DurableObjectStub;
}

export function lobbyOf(name: string): LobbyRpc {
  return objects.LOBBY.getByName(lobbyIdOf(name));
}

export function lobbyIdOf(name: string): LobbyId {
  return `room:${name}` as LobbyId;
}

export function fleet() {
  return objects.FLEET.getByName(FLEET_NAME);
}

export function nodeLink(node: NodeId) {
  return objects.NODE_LINK.getByName(node);
}

export async function publishIn(name: string, session: SessionId = mintSessionId()) {
  const outcome = await lobbyOf(name).publish({ lobby: lobbyIdOf(name), session, offer: PUBLISH_OFFER });
  return { session, outcome };
}

export function playIn(name: string, session: SessionId = mintSessionId()) {
  return admit(objects, { lobby: lobbyIdOf(name), session, offer: PLAY_OFFER, near: null });
}

/** Everything in an object's storage: keys of its records, and its alarm. */
export function stored(object: object): Promise<{ keys: string[]; alarm: number | null; tables: string[] }> {
  return runInDurableObject(stub(object), async (_, state) => ({
    keys: [...state.storage.kv.list()].map(([key]) => key),
    alarm: await state.storage.getAlarm(),
    tables: state.storage.sql
      .exec<{ name: string }>("SELECT name FROM sqlite_master WHERE type = 'table'")
      .toArray()
      .map((row) => row.name),
  }));
}

const EVENTUALLY_MS = 20_000;

/** Asks again until `condition` holds; for what reaches an object without anybody waiting for it. */
export async function eventually<T>(ask: () => Promise<T>, condition: (value: T) => boolean): Promise<T> {
  const endsAt = Date.now() + EVENTUALLY_MS;
  for (;;) {
    const value = await ask();
    if (condition(value)) return value;
    if (Date.now() > endsAt) throw new Error(`waited in vain; the last answer was ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
