/**
 * What the lobby of one stream remembers, and the questions that can be answered from it without changing it.
 *
 * No state (null) is the normal state: a lobby without a human in it has ended and leaves nothing in storage.
 */
import { z } from 'zod';
import {
  bootIdSchema,
  type LobbyId,
  lobbyIdSchema,
  nodeIdSchema,
  type SessionId,
  sessionIdSchema,
} from '../../shared/ids.ts';
import { type DesiredStream, liveReportSchema, trackReportSchema } from '../../shared/protocol/control.ts';
import { type Carrier, isOn } from '../lobby/lobby-state.ts';
import type { LiveStatus } from '../rpc.ts';

const carrierSchema = z.object({ node: nodeIdSchema, boot: bootIdSchema });

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
});
export type Live = z.infer<typeof liveSchema>;

export const streamRecordSchema = z.object({
  version: z.literal(1),
  lobby: lobbyIdSchema,
  /** Of the desired state. It grows over the lives of a lobby, because it is never less than the clock. */
  revision: z.int().nonnegative(),
  /** The last one given to a session in this life of the lobby. */
  generation: z.int().nonnegative(),
  /** Where all members are; null while a node is being chosen. */
  node: carrierSchema.nullable(),
  members: z.array(memberSchema),
  live: liveSchema.nullable(),
  /** The push that ran last, when none runs. */
  lastLive: z.object({ live: z.string(), error: z.string().nullable() }).nullable(),
});
export type StreamState = z.infer<typeof streamRecordSchema>;

export function firstState(lobby: LobbyId): StreamState {
  return { version: 1, lobby, revision: 0, generation: 0, node: null, members: [], live: null, lastLive: null };
}

/** Unix ms of the next thing that happens by itself; null: nothing. */
export function nextDeadline(state: StreamState | null): number | null {
  const deadlines = (state?.members ?? []).map((member) => member.deadline).filter((deadline) => deadline !== null);
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

/** The member to whom this session belongs, be it the one it sends with or the one it listens with. */
export function memberOf(state: StreamState | null, session: SessionId): Member | null {
  return memberWith(state, session) ?? memberListeningAs(state, session);
}

/** What goes on air is there. */
export function hasMainTrack(state: StreamState | null): boolean {
  return (state?.members ?? []).some(
    ({ phase, fixed, tracks }) =>
      phase !== 'opening' && tracks.some((track) => (fixed ? true : track.info?.purpose === 'main')),
  );
}

/** What this life of a node shall carry for the lobby; null: nothing. */
export function desiredOn(state: StreamState | null, carrier: Carrier): DesiredStream | null {
  if (state === null) return null;
  const here = state.members.filter(({ target }) => target !== null && isOn(target, carrier));
  if (here.length === 0) return null;
  const isHome = state.node !== null && isOn(state.node, carrier);
  return {
    lobby: state.lobby,
    revision: state.revision,
    members: here.map(({ session, generation, listener }) => ({
      session,
      generation,
      listener: listener?.session ?? null,
    })),
    live: isHome && state.live !== null ? { live: state.live.live, url: state.live.url } : null,
  };
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
