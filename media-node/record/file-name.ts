/** `{room}_{trackOrSessionId}_{unix}.{ext}`, whatever the lobby and the track are called. */
import { randomBytes } from 'node:crypto';
import type { LobbyId } from '../../shared/ids.ts';
import { type RecordId, recordIdSchema } from '../../shared/protocol/records.ts';

const ID_BYTES = 16;
const MAX_LOBBY_CHARACTERS = 120;
const MAX_ID_CHARACTERS = 64;
const MS_PER_S = 1000;

export function mintRecordId(): RecordId {
  return recordIdSchema.parse(randomBytes(ID_BYTES).toString('base64url'));
}

/** @param id of the session or track. @param count of files that this recording has had before: names never repeat */
export function recordFileName(lobby: LobbyId, id: string, unixMs: number, count: number, extension: string): string {
  const room = safe(lobby.replace(/^(room|stream):/, ''), MAX_LOBBY_CHARACTERS);
  const part = count === 0 ? '' : `-${count + 1}`;
  const seconds = Math.floor(unixMs / MS_PER_S);
  return `${room}_${safe(id, MAX_ID_CHARACTERS)}${part}_${seconds}.${extension}`;
}

/** Letters, digits, `_` and `-`; begins with a letter or a digit. */
function safe(text: string, most: number): string {
  const plain = text.replaceAll(/[^A-Za-z0-9_-]/g, '-').replace(/^[_-]+/, '');
  return plain === '' ? 'x' : plain.slice(0, most);
}
