/** One recording as the catalogue keeps it. */
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type { RecordId, RecordState } from '../../shared/protocol/records.ts';

/** A multipart upload that was begun. */
export interface Upload {
  /** Where to: the bucket that is bound to the worker, or the S3-compatible store of the settings. */
  via: 'edge' | 's3';
  /** Of the object in the store. */
  key: string;
  /** The store's name for the upload. */
  uploadId: string;
}

export interface RecordEntry {
  id: RecordId;
  /** The file's name, unique. */
  name: string;
  lobby: LobbyId;
  /** The publisher's session. */
  session: SessionId;
  /** The node that has the file; only it may say something about it. */
  node: NodeId;
  contentType: string;
  codecs: readonly string[];
  state: RecordState;
  bytes: number;
  durationMs: number;
  /** Bytes that the store has. */
  uploadedBytes: number;
  /** Unix ms */
  startedAt: number;
  /** Unix ms of the node's last word. */
  updatedAt: number;
  /** Unix ms; null until it is `ready` or `failed`. */
  endedAt: number | null;
  /** Why it failed, for people. */
  error: string | null;
  /** Null before and after: a `ready` one has its object under `stored`. */
  upload: Upload | null;
  /** An upload was asked for there, and nobody has heard yet what the store calls it. */
  opening: { via: Upload['via']; key: string } | null;
  /** Where the finished object is; null before. */
  stored: { via: Upload['via']; key: string } | null;
}

/** Nothing of it is in a store, or may be, but for the finished object. */
export function isFree({ upload, opening }: Pick<RecordEntry, 'upload' | 'opening'>): boolean {
  return upload === null && opening === null;
}

/** Nothing will change any more unless somebody asks for it. */
export function isOver(entry: RecordEntry): boolean {
  return entry.state === 'ready' || entry.state === 'failed';
}

/** Nothing but how far it has come is another thing in `after`. */
export function isProgress(before: RecordEntry, after: RecordEntry): boolean {
  const { bytes, durationMs, uploadedBytes, updatedAt } = before;
  return JSON.stringify({ ...after, bytes, durationMs, uploadedBytes, updatedAt }) === JSON.stringify(before);
}
