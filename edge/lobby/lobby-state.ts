/**
 * What one room remembers, and the questions that can be answered from it without changing it.
 *
 * No state (null) is the normal state: a room in which nothing runs leaves nothing in storage.
 */
import { z } from 'zod';
import type { Problem } from '../../shared/errors.ts';
import { type LobbyId, lobbyIdSchema, type SessionId, sessionIdSchema } from '../../shared/ids.ts';
import { type DesiredLobby, type DesiredRelay, trackReportSchema } from '../../shared/protocol/control.ts';
import { type Carrier, carrierSchema, isOn } from '../carrier.ts';
import { NO_TREE, nextTreeDeadline, type RelayTree, relayOn, treeSchema } from '../relay/relay-tree.ts';
import { NO_PUBLISHER, PUBLISHER_LOST } from './lobby-problems.ts';

const publisherSchema = carrierSchema.extend({
  session: sessionIdSchema,
  generation: z.int().positive(),
  /** `lost`: its viewers wait for it or for another one until the deadline. */
  phase: z.enum(['connecting', 'live', 'lost']),
  /** Unix ms at which the phase has lasted too long; null when it may last. */
  deadline: z.int().nullable(),
  /** It has been live, or took viewers over: when it goes, the grace runs. Otherwise the room is simply free again. */
  watched: z.boolean(),
  tracks: z.array(trackReportSchema),
  /** Its node is lost, and it with it; viewers on other nodes wait. */
  gone: z.boolean(),
});
export type Publisher = z.infer<typeof publisherSchema>;

/** A publisher whose offer has not been answered yet; beside it there may be a lost one that it takes over from. */
const openingSchema = z.object({
  session: sessionIdSchema,
  generation: z.int().positive(),
  /** Unix ms; a backstop, the call that opens it has a deadline of its own. */
  deadline: z.int(),
  /** Where the offer was sent; null while a node is being chosen. */
  target: carrierSchema.nullable(),
  replaces: sessionIdSchema.nullable(),
  /** What the node reported about it before its answer arrived here. */
  early: z.enum(['connected', 'closed']).nullable(),
});
export type Opening = z.infer<typeof openingSchema>;

const recordSchema = z.object({
  version: z.literal(2),
  lobby: lobbyIdSchema,
  /**
   * Of the desired state. It grows over the lives of a room although storage is emptied in between, because it is never
   * less than the clock: a node that remembers the last life does not take the next one for old news.
   */
  revision: z.int().nonnegative(),
  /** The last one given to a session in this life of the room. */
  generation: z.int().nonnegative(),
  publisher: publisherSchema.nullable(),
  opening: openingSchema.nullable(),
  /** On another node and not yet connected: it takes the place of the publisher, who goes on until then. */
  successor: publisherSchema.nullable(),
  /** Null: nobody watches on another node than the publisher's. */
  tree: treeSchema.nullable(),
});

/** Written before there were relays. The room goes on over the update. */
const firstRecordSchema = z.object({
  version: z.literal(1),
  publisher: z.object({}).loose().nullable(),
});

function upgraded(record: unknown): unknown {
  const old = firstRecordSchema.loose().safeParse(record).data;
  if (old === undefined) return record;
  const publisher = old.publisher === null ? null : { ...old.publisher, gone: false };
  return { ...old, version: 2, publisher, successor: null, tree: null };
}

export const lobbyRecordSchema: z.ZodType<LobbyState> = z.preprocess(upgraded, recordSchema);
export type LobbyState = z.infer<typeof recordSchema>;

/** The part that must survive. An opening without a node has left no trace anywhere, so nobody needs to remember it. */
export function persistent(state: LobbyState | null): LobbyState | null {
  if (state === null || state.opening === null || state.opening.target !== null) return state;
  return state.publisher === null ? null : { ...state, opening: null };
}

/** The room's tree, also when there is nothing in it but the publisher's node. */
export function treeOf(state: LobbyState | null): RelayTree {
  return state?.tree ?? { ...NO_TREE, origin: originOf(state?.publisher ?? null) };
}

/** The node from which the tracks can be had. */
export function originOf(publisher: Publisher | null): Carrier | null {
  return publisher === null || publisher.gone ? null : { node: publisher.node, boot: publisher.boot };
}

/** Unix ms of the next thing that happens by itself; null: nothing. */
export function nextDeadline(state: LobbyState | null): number | null {
  if (state === null) return null;
  // An opening decides first: should it fail, what the old publisher's deadline says is done then.
  const own = state.opening?.deadline ?? state.publisher?.deadline ?? null;
  const others = [state.successor?.deadline ?? null, state.tree && nextTreeDeadline(state.tree)];
  const times = [own, ...others].filter((time) => time !== null);
  return times.length === 0 ? null : Math.min(...times);
}

/** What the room list says; null while nothing has run here yet. */
export function summaryOf(state: LobbyState | null): { hasPublisher: boolean; tracks: number } | null {
  const publisher = state?.publisher ?? null;
  if (publisher === null) return null;
  return publisher.phase === 'lost'
    ? { hasPublisher: false, tracks: 0 }
    : { hasPublisher: true, tracks: publisher.tracks.length };
}

/** What this life of a node shall carry for the room; null: nothing. */
export function desiredOn(state: LobbyState | null, carrier: Carrier): DesiredLobby | null {
  if (state === null) return null;
  const { lobby, revision, opening, publisher, successor } = state;
  const holder =
    opening && isOn(opening.target, carrier)
      ? opening
      : [successor, publisher].find((known) => known !== null && isOn(known, carrier));
  if (holder) {
    const { session, generation } = holder;
    return { lobby, revision, publisher: { session, generation } };
  }
  const relay = relayOn(treeOf(state), carrier);
  if (relay === null) return null;
  // While another hop is tried, the last one may still bring something.
  const { session, generation, upstream }: DesiredRelay = relay.held ?? relay.hop;
  return { lobby, revision, publisher: null, relay: { session, generation, upstream } };
}

/** The publisher with this session id, or the one that is about to take its place; not when its time is over. */
export function publisherWith(state: LobbyState | null, session: SessionId, now: number): Publisher | null {
  if (state?.successor?.session === session) return state.successor;
  const publisher = state?.publisher ?? null;
  if (publisher === null || publisher.session !== session || publisher.gone || isOver(publisher, now)) return null;
  return publisher;
}

export function isOver(publisher: Publisher, now: number): boolean {
  return publisher.phase === 'lost' && publisher.deadline !== null && publisher.deadline <= now;
}

export type Admission = { kind: 'go'; carrier: Carrier } | { kind: 'wait' } | { kind: 'refuse'; problem: Problem };

/** May a viewer come in now? `wait`: an offer is just being answered, ask again when that is done. */
export function admission(state: LobbyState | null, now: number): Admission {
  const publisher = state?.publisher ?? null;
  if (publisher !== null && publisher.phase !== 'lost') {
    return { kind: 'go', carrier: { node: publisher.node, boot: publisher.boot } };
  }
  if (state?.opening) return { kind: 'wait' };
  if (publisher === null || isOver(publisher, now)) return { kind: 'refuse', problem: NO_PUBLISHER };
  return { kind: 'refuse', problem: PUBLISHER_LOST };
}

export function firstState(lobby: LobbyId): LobbyState {
  const nothing = { publisher: null, opening: null, successor: null, tree: null };
  return { version: 2, lobby, revision: 0, generation: 0, ...nothing };
}
