/** What the edge wants a media node to carry. Applying the same twice changes nothing; a lower revision is ignored. */
import { z } from 'zod';
import { lobbyIdSchema, nodeIdSchema, sessionIdSchema } from '../ids.ts';
import { trackReportSchema } from './tracks.ts';

/** A relay that a node shall pull and keep. It begins with the request `relay-pull`; when it ends, the edge opens another. */
export const desiredRelaySchema = z.object({
  session: sessionIdSchema,
  generation: z.int().nonnegative(),
  /** The node that serves it. */
  upstream: nodeIdSchema,
});
export type DesiredRelay = z.infer<typeof desiredRelaySchema>;

/** What shall be recorded of a lobby: one file per publisher that this node receives itself (never of a relay). */
export const desiredRecordingSchema = z.object({ format: z.enum(['mp4', 'webm', 'raw']) });
export type DesiredRecording = z.infer<typeof desiredRecordingSchema>;

/**
 * What the edge wants one node to carry for one lobby. Revisions only grow; a node ignores one lower than it has seen.
 * Applying the same one twice changes nothing.
 */
export const desiredLobbySchema = z.object({
  lobby: lobbyIdSchema,
  revision: z.int().nonnegative(),
  /** The ingress session that may publish here; null: none, and without a `relay` every egress session of the lobby ends. */
  publisher: z.object({ session: sessionIdSchema, generation: z.int().nonnegative() }).nullable(),
  /**
   * Where the tracks come from when the publisher is on another node. Never beside a publisher. While one is desired the
   * viewers stay, whether or not that relay is up: another may take its place.
   */
  relay: desiredRelaySchema.nullish(),
  recording: desiredRecordingSchema.nullish(),
});
export type DesiredLobby = z.infer<typeof desiredLobbySchema>;

/**
 * What the sessions of one member have in common who moves from node to node: the first of them. Tracks with the same mid of
 * sessions of one lineage are one track to those who get it, and its generation is the member's place among the others.
 */
export const lineageSchema = z.object({ session: sessionIdSchema, generation: z.int().nonnegative() });
export type Lineage = z.infer<typeof lineageSchema>;

/**
 * The same for a stream lobby: who may be here, and what goes on air. A member's session that is not listed ends, and its
 * listener with it; so does a listener that is not listed.
 */
export const desiredStreamSchema = z.object({
  lobby: lobbyIdSchema,
  revision: z.int().nonnegative(),
  members: z.array(
    z.object({
      session: sessionIdSchema,
      generation: z.int().nonnegative(),
      listener: sessionIdSchema.nullable(),
    }),
  ),
  /**
   * Members whose tracks come from other nodes: `session` is the member's, `relay` the session that brings its tracks
   * here; `tracks` as its own node reports them, with the present mute.
   */
  remotes: z
    .array(
      z.object({
        session: sessionIdSchema,
        generation: z.int().nonnegative(),
        /** Absent: the session has taken no other's place. */
        lineage: lineageSchema.optional(),
        relay: desiredRelaySchema,
        tracks: z.array(trackReportSchema),
      }),
    )
    .optional(),
  recording: desiredRecordingSchema.nullish(),
  /** True: its audience stays and waits for main tracks, though neither a member nor a remote is listed. */
  audience: z.boolean().optional(),
  /** Push the main tracks to `url` (with the stream key in it: never logged); null: off air. */
  live: z.object({ live: z.string(), url: z.string() }).nullable(),
});
export type DesiredStream = z.infer<typeof desiredStreamSchema>;
