/**
 * Branded identifiers. A brand costs nothing at run time and stops a session id from being passed where a node id is due.
 *
 * Parse at the door (the `*Schema`s), trust inside.
 */
import { z } from 'zod';

/** A room name as users write it: `^[A-Za-z0-9_-]{1,64}$`. */
export const roomNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/)
  .brand<'RoomName'>();
export type RoomName = z.infer<typeof roomNameSchema>;

/**
 * A lobby: one place where media meets, one `Lobby` Durable Object. Rooms are the lobbies named `room:{RoomName}`;
 * other kinds get prefixes of their own.
 */
export const lobbyIdSchema = z.string().min(1).max(200).brand<'LobbyId'>();
export type LobbyId = z.infer<typeof lobbyIdSchema>;

/** One ICE/DTLS association with a client. 128 random bits, lower-case base32 without padding (26 characters). */
export const sessionIdSchema = z
  .string()
  .regex(/^[a-z2-7]{26}$/)
  .brand<'SessionId'>();
export type SessionId = z.infer<typeof sessionIdSchema>;

/** A media node, chosen by its operator (`NODE_ID`) or derived from the host name. Stable over restarts. */
export const nodeIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9_-]{1,64}$/)
  .brand<'NodeId'>();
export type NodeId = z.infer<typeof nodeIdSchema>;

/** One life of a media node's process. A new boot id means that everything the node carried before is gone. */
export const bootIdSchema = z
  .string()
  .regex(/^[a-z2-7]{26}$/)
  .brand<'BootId'>();
export type BootId = z.infer<typeof bootIdSchema>;

export function roomLobbyId(room: RoomName): LobbyId {
  return `room:${room}` as LobbyId;
}

/** The room name of a room lobby, or null when the lobby is of another kind. */
export function roomOfLobby(lobby: LobbyId): RoomName | null {
  return lobby.startsWith('room:') ? (lobby.slice(5) as RoomName) : null;
}

/** A space as URLs name it (a channel id such as `root_channel@video.example`), and a stream in it by its UUID. */
export const spaceNameSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$/)
  .brand<'SpaceName'>();
export type SpaceName = z.infer<typeof spaceNameSchema>;
export const streamIdSchema = z.uuid().brand<'StreamId'>();
export type StreamId = z.infer<typeof streamIdSchema>;

/** The lobby of a stream: `stream:{space}/{uuid}`. */
export function streamLobbyId(space: SpaceName, stream: StreamId): LobbyId {
  return `stream:${space}/${stream}` as LobbyId;
}

/** Null when the lobby is of another kind. */
export function streamOfLobby(lobby: LobbyId): { space: SpaceName; stream: StreamId } | null {
  const [, space, stream] = /^stream:([^/]+)\/([^/]+)$/.exec(lobby) ?? [];
  return space === undefined || stream === undefined ? null : { space: space as SpaceName, stream: stream as StreamId };
}

export function mintSessionId(): SessionId {
  return randomBase32(16) as SessionId;
}

export function mintBootId(): BootId {
  return randomBase32(16) as BootId;
}

const BASE32 = 'abcdefghijklmnopqrstuvwxyz234567';

/** `bytes` bytes from the CSPRNG as lower-case base32 without padding; every character is safe in URLs, SDP and logs. */
export function randomBase32(bytes: number): string {
  const random = crypto.getRandomValues(new Uint8Array(bytes));
  let out = '';
  let bits = 0;
  let value = 0;
  for (const byte of random) {
    value = (value << 8) | byte;
    bits += 8;
    while (bits >= 5) {
      bits -= 5;
      out += BASE32[(value >> bits) & 31];
    }
    value &= (1 << bits) - 1;
  }
  if (bits > 0) out += BASE32[(value << (5 - bits)) & 31];
  return out;
}
