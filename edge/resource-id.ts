/**
 * Session resources: `/resource/{rid}` (and `/whip/{rid}` for join tokens). A rid says in readable fields where its
 * session lives, and a MAC over them proves that this edge wrote it. A PATCH or DELETE finds its way without a lookup,
 * a forged id is refused before any object is touched, and the 128 random bits of the session make the URL a capability.
 *
 *   i.{room}.{session}.{mac}               a publisher
 *   e.{room}.{node}.{session}.{mac}        a viewer; the node that carries it needs no asking the lobby
 *   j.{room}.{issued}.{session}.{mac}      a join token: whoever holds it may publish, within its life time
 *   m.{stream}.{session}.{space}.{mac}     what a member of a stream's lobby sends; the space's name may hold dots
 *   l.{stream}.{session}.{space}.{mac}     what a member receives
 *   s.{node}.{session}.{mac}               somebody in the audience of a stream (static WHEP)
 *
 * No character needs escaping, and there is never a query: several clients break on one (OBS, vue-wish, React Native).
 */
import { z } from 'zod';
import {
  type NodeId,
  nodeIdSchema,
  type RoomName,
  roomNameSchema,
  type SessionId,
  type SpaceName,
  type StreamId,
  sessionIdSchema,
  spaceNameSchema,
  streamIdSchema,
} from '../shared/ids.ts';
import { toBase64url } from './auth/base64url.ts';
import { bytesEqual } from './auth/constant-time.ts';
import { macOf } from './auth/message-mac.ts';

export type ResourceId =
  | { kind: 'ingress'; room: RoomName; session: SessionId }
  | { kind: 'egress'; room: RoomName; node: NodeId; session: SessionId }
  | { kind: 'join'; room: RoomName; session: SessionId; issuedAtMs: number }
  | { kind: 'member' | 'listener'; space: SpaceName; stream: StreamId; session: SessionId }
  | { kind: 'audience'; node: NodeId; session: SessionId };

/** A join token opens a session this long after it was issued. Afterwards it still addresses the session. */
export const JOIN_TOKEN_LIFE_MS = 3_600_000;

/** 96 bits: twelve bytes are sixteen base64url characters with no spare bits, so one MAC has one spelling. */
const MAC_BYTES = 12;
/** Longest: kind, stream (36), session (26), space (100), MAC (16) and four dots. */
const MAX_RID_CHARS = 192;
/** Keeps these MACs apart from anything else that may be keyed with the same secret. */
const MAC_CONTEXT = 'vestibule resource 1';

const issuedSchema = z.string().regex(/^[1-9a-z][0-9a-z]{0,10}$/);

const encoder = new TextEncoder();

/** The rid of a resource: one path segment. */
export async function writeResourceId(resource: ResourceId, secret: string): Promise<string> {
  const fields = fieldsOf(resource).join('.');
  return `${fields}.${await macText(fields, secret)}`;
}

/** What a rid names; null when this edge did not write it. */
export async function readResourceId(rid: string, secret: string): Promise<ResourceId | null> {
  if (rid.length > MAX_RID_CHARS) return null;
  const end = rid.lastIndexOf('.');
  if (end < 0) return null;
  const resource = resourceOf(rid.slice(0, end).split('.'));
  if (resource === null) return null;
  const given = encoder.encode(rid.slice(end + 1));
  const expected = encoder.encode(await macText(rid.slice(0, end), secret));
  return bytesEqual(given, expected) ? resource : null;
}

function fieldsOf(resource: ResourceId): string[] {
  switch (resource.kind) {
    case 'ingress':
      return ['i', resource.room, resource.session];
    case 'egress':
      return ['e', resource.room, resource.node, resource.session];
    case 'join':
      return ['j', resource.room, resource.issuedAtMs.toString(36), resource.session];
    case 'member':
      return ['m', resource.stream, resource.session, resource.space];
    case 'listener':
      return ['l', resource.stream, resource.session, resource.space];
    case 'audience':
      return ['s', resource.node, resource.session];
  }
}

function resourceOf(fields: string[]): ResourceId | null {
  const [kind, ...rest] = fields;
  if (kind === 'm' || kind === 'l') return memberResourceOf(kind === 'm' ? 'member' : 'listener', rest);
  if (kind === 's') return audienceResourceOf(rest);
  return roomResourceOf(fields);
}

function memberResourceOf(kind: 'member' | 'listener', fields: string[]): ResourceId | null {
  const stream = streamIdSchema.safeParse(fields[0]);
  const session = sessionIdSchema.safeParse(fields[1]);
  const space = spaceNameSchema.safeParse(fields.slice(2).join('.'));
  if (!stream.success || !session.success || !space.success) return null;
  return { kind, space: space.data, stream: stream.data, session: session.data };
}

function audienceResourceOf(fields: string[]): ResourceId | null {
  const node = nodeIdSchema.safeParse(fields[0]);
  const session = sessionIdSchema.safeParse(fields[1]);
  if (fields.length !== 2 || !node.success || !session.success) return null;
  return { kind: 'audience', node: node.data, session: session.data };
}

function roomResourceOf(fields: string[]): ResourceId | null {
  const [kind, roomField, ...rest] = fields;
  const room = roomNameSchema.safeParse(roomField);
  const session = sessionIdSchema.safeParse(rest.at(-1));
  if (!room.success || !session.success) return null;
  if (kind === 'i' && rest.length === 1) return { kind: 'ingress', room: room.data, session: session.data };
  if (rest.length !== 2) return null;
  if (kind === 'e') {
    const node = nodeIdSchema.safeParse(rest[0]);
    return node.success ? { kind: 'egress', room: room.data, node: node.data, session: session.data } : null;
  }
  if (kind === 'j') {
    const issued = issuedSchema.safeParse(rest[0]);
    return issued.success
      ? { kind: 'join', room: room.data, session: session.data, issuedAtMs: Number.parseInt(issued.data, 36) }
      : null;
  }
  return null;
}

async function macText(fields: string, secret: string): Promise<string> {
  return toBase64url((await macOf(MAC_CONTEXT, fields, secret)).subarray(0, MAC_BYTES));
}
