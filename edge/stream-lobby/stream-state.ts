/**
 * What the lobby of one stream remembers, and the questions that can be answered from it without changing it.
 *
 * No state (null) is the normal state: a lobby without a human in it has ended and leaves nothing in storage.
 */
import { z } from 'zod';
import { type LobbyId, lobbyIdSchema, type SessionId, sessionIdSchema } from '../../shared/ids.ts';
import {
  type DesiredRelay,
  type DesiredStream,
  type Lineage,
  lineageSchema,
  liveReportSchema,
  trackReportSchema,
} from '../../shared/protocol/control.ts';
import { type Carrier, carrierSchema, isOn } from '../carrier.ts';
import { NO_TREE, nextTreeDeadline, type Relay, type RelayTree, relayOn, treeSchema } from '../relay/relay-tree.ts';
import type { LiveStatus } from './rpc.ts';

const memberSchema = z.object({
  user: z.string().min(1),
  session: sessionIdSchema,
  generation: z.int().positive(),
  /** A machine (static WHIP): no cookie, no token, no listener; its tracks are main; it does not hold the lobby. */
  fixed: z.boolean(),
  /** `silent`: its peer is not heard and may come back until the deadline. */
  phase: z.enum(['opening', 'connecting', 'live', 'silent']),
  /** Unix ms at which the phase has lasted too long; null when it may last. */
  deadline: z.int().nullable(),
  /** Where its offer was sent; null while a node is being chosen. */
  target: carrierSchema.nullable(),
  /** What the node reported about it before its answer arrived here. */
  early: z.enum(['connected', 'closed']).nullable(),
  tracks: z.array(trackReportSchema),
  listener: z
    .object({
      session: sessionIdSchema,
      phase: z.enum(['opening', 'open']),
      /** The node has reported it: from then on a report without it says that it is gone. */
      seen: z.boolean(),
    })
    .nullable(),
  /** By which other nodes get its tracks; null: nobody there wants them. */
  relays: treeSchema.nullable(),
  /** Of one that took the place of another session of its user, or shall do so; null: it is the first. */
  lineage: lineageSchema.nullable().default(null),
  /**
   * The session whose place it is to take, which goes on until then; null: it has its own place. `until`: Unix ms by which
   * that one has to be gone; null while this one does not stand.
   */
  replaces: z.object({ session: sessionIdSchema, until: z.int().nullable() }).nullable().default(null),
  /** The request token that passes next, as its SHA-256 in hex; `expiresAt` in Unix ms. */
  token: z.object({ hash: z.string(), expiresAt: z.int() }).nullable(),
});
export type Member = z.infer<typeof memberSchema>;

const liveSchema = z.object({
  live: z.string(),
  /** With the stream key in it: for the node only. */
  url: z.string(),
  state: liveReportSchema.shape.state,
  error: z.string().nullable(),
  /** Which node pushes it; null: nobody is there who could be shown. */
  node: carrierSchema.nullable(),
});
export type Live = z.infer<typeof liveSchema>;

const recordSchema = z.object({
  version: z.literal(2),
  lobby: lobbyIdSchema,
  /** Of the desired state. It grows over the lives of a lobby, because it is never less than the clock. */
  revision: z.int().nonnegative(),
  /** The last one given to a session in this life of the lobby, relays included. */
  generation: z.int().nonnegative(),
  members: z.array(memberSchema),
  /** Nodes to which somebody of the audience was sent, until they say that nobody is there. */
  audiences: z.array(carrierSchema),
  live: liveSchema.nullable(),
  /** The push that ran last, when none runs. */
  lastLive: z.object({ live: z.string(), error: z.string().nullable() }).nullable(),
});
export type StreamState = z.infer<typeof recordSchema>;

/** Written when all members were on one node. The lobby goes on over the update. */
const firstRecordSchema = z.looseObject({
  version: z.literal(1),
  node: carrierSchema.nullable(),
  members: z.array(z.looseObject({})),
  live: z.looseObject({}).nullable(),
});

function upgraded(record: unknown): unknown {
  const old = firstRecordSchema.safeParse(record).data;
  if (old === undefined) return record;
  const { node, ...rest } = old;
  return {
    ...rest,
    version: 2,
    members: old.members.map((member) => ({ ...member, relays: null })),
    // Whether anybody watches there was not written down.
    audiences: node === null ? [] : [node],
    live: old.live && { ...old.live, node },
  };
}

export const streamRecordSchema: z.ZodType<StreamState> = z.preprocess(upgraded, recordSchema);

export function firstState(lobby: LobbyId): StreamState {
  const nothing = { members: [], audiences: [], live: null, lastLive: null };
  return { version: 2, lobby, revision: 0, generation: 0, ...nothing };
}

/** Unix ms of the next thing that happens by itself; null: nothing. */
export function nextDeadline(state: StreamState | null): number | null {
  const deadlines = (state?.members ?? [])
    .flatMap(({ deadline, replaces, relays }) => [
      deadline,
      replaces?.until ?? null,
      relays && nextTreeDeadline(relays),
    ])
    .filter((deadline) => deadline !== null);
  return deadlines.length === 0 ? null : Math.min(...deadlines);
}

/** A human holds the lobby, also while the offer is being answered; machines do not. */
export function isHeld(state: StreamState): boolean {
  return state.members.some((member) => !member.fixed);
}

/** The member with this ingress session, once its offer has been answered. */
export function memberWith(state: StreamState | null, session: SessionId): Member | null {
  const member = state?.members.find((one) => one.session === session) ?? null;
  return member?.phase === 'opening' ? null : member;
}

export function memberListeningAs(state: StreamState | null, listener: SessionId): Member | null {
  return state?.members.find((one) => one.listener?.session === listener) ?? null;
}

/** What names a member over all of its sessions, and tells its place among the others. */
export function lineageOf({ lineage, session, generation }: Member): Lineage {
  return lineage ?? { session, generation };
}

/** The sessions of one member that have been answered: two while it moves. `first`: its lineage's. */
export function sessionsOf(state: StreamState | null, first: SessionId): Member[] {
  return (state?.members ?? []).filter((member) => member.phase !== 'opening' && lineageOf(member).session === first);
}

/** The member to whom this session belongs, be it the one it sends with or the one it listens with. */
export function memberOf(state: StreamState | null, session: SessionId): Member | null {
  return memberWith(state, session) ?? memberListeningAs(state, session);
}

/** What goes on air is there. */
export function hasMainTrack(state: StreamState | null): boolean {
  return (state?.members ?? []).some((member) => member.phase !== 'opening' && isMain(member));
}

/** It sends what goes on air. */
export function isMain({ fixed, tracks }: Member): boolean {
  return fixed ? tracks.length > 0 : tracks.some((track) => track.info?.purpose === 'main');
}

/** The others can have its tracks: it is connected, or was. */
export function flows({ phase, tracks }: Member): boolean {
  return (phase === 'live' || phase === 'silent') && tracks.length > 0;
}

/** A member's tree, also when there is nothing in it but the member's node. */
export function treeOf({ relays, target }: Member): RelayTree {
  return relays ?? { ...NO_TREE, origin: target };
}

/** What this life of a node shall carry for the lobby; null: nothing. */
export function desiredOn(state: StreamState | null, carrier: Carrier): DesiredStream | null {
  if (state === null) return null;
  const { lobby, revision, live } = state;
  const here = state.members.filter(({ target }) => isOn(target, carrier));
  const remotes = state.members.flatMap((member) => {
    const relay = member.relays && relayOn(member.relays, carrier);
    return relay ? [{ ...sourceOf(member), relay: desiredRelay(relay), tracks: member.tracks }] : [];
  });
  const isWatched = state.audiences.some((place) => isOn(place, carrier));
  if (here.length + remotes.length === 0 && !isWatched) return null;
  return {
    lobby,
    revision,
    members: here.map(({ session, generation, listener }) => ({
      session,
      generation,
      listener: listener?.session ?? null,
    })),
    ...(remotes.length === 0 ? {} : { remotes }),
    ...(isWatched && here.length === 0 ? { audience: true } : {}),
    live: live && isOn(live.node, carrier) ? { live: live.live, url: live.url } : null,
  };
}

/** How nodes are told of a member on another one. */
export function sourceOf({ session, generation, lineage }: Member) {
  return { session, generation, ...(lineage === null ? {} : { lineage }) };
}

/** While another hop is tried, the last one may still bring something; one that the node is just taking is not taken away. */
function desiredRelay({ phase, hop, held }: Relay): DesiredRelay {
  const { session, generation, upstream } = phase === 'pulling' ? hop : (held ?? hop);
  return { session, generation, upstream };
}

export function liveStatusOf(state: StreamState | null): LiveStatus {
  const live = state?.live ?? null;
  return {
    live: live?.live ?? state?.lastLive?.live ?? null,
    isLive: live !== null,
    isLobbyRunning: (state?.members ?? []).some(({ fixed, phase }) => !fixed && phase !== 'opening'),
    state: live?.state ?? (state?.lastLive ? 'ended' : 'off'),
    error: live === null ? (state?.lastLive?.error ?? null) : live.error,
  };
}
