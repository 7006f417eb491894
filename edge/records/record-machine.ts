/**
 * The life of a recording in the catalogue as a pure function. The node tells what became of its file; only the store
 * makes it `ready`.
 *
 *   recording ──► finalising ──► uploading ──completed──► ready
 *       └──────────────┴──────────────┴──► failed ──(its node tries again)──► uploading
 *
 * Words may come twice, late, or from a node that was restarted in between: none of them takes a step back.
 */
import type { Problem } from '../../shared/errors.ts';
import type { NodeId } from '../../shared/ids.ts';
import type { RecordBegin, RecordState, RecordUpdate } from '../../shared/protocol/records.ts';
import { isFree, type RecordEntry, type Upload } from './record.ts';

/** Without a word for this long, the node is taken for gone for good. Its disk may still have the file. */
export const ABANDONED_AFTER_MS = 24 * 3_600_000;

export type RecordEvent =
  | { type: 'begun'; node: NodeId; begin: RecordBegin }
  | { type: 'updated'; node: NodeId; update: RecordUpdate }
  /** The store is about to be asked for an upload. */
  | { type: 'upload-opening'; node: NodeId; place: NonNullable<RecordEntry['opening']> }
  | { type: 'upload-begun'; node: NodeId; upload: Upload }
  /** The store does not know the upload any more, or it was abandoned, and nothing is left of others. */
  | { type: 'upload-lost' }
  | { type: 'completed'; bytes: number; durationMs: number }
  /** `isFreed`: the store has nothing of an unfinished upload any more. */
  | { type: 'deadline'; isFreed: boolean };

export interface RecordStep {
  /** The same object when nothing changed; null: there is none. */
  entry: RecordEntry | null;
  refusal: Problem | null;
}

export const NO_RECORD: Problem = { status: 404, code: 'no_record', detail: 'no such recording' };
export const NO_UPLOAD: Problem = { status: 409, code: 'no_upload', detail: 'there is no such upload: begin again' };
const RECORD_READY: Problem = { status: 409, code: 'record_ready', detail: 'the recording is complete' };

const FREED = { upload: null, opening: null, uploadedBytes: 0 };

/** A state may be told from these. */
const EARLIER: Readonly<Record<RecordUpdate['state'], readonly RecordState[]>> = {
  recording: ['recording'],
  finalising: ['recording', 'finalising', 'failed'],
  uploading: ['recording', 'finalising', 'uploading', 'failed'],
  failed: ['recording', 'finalising', 'uploading', 'failed'],
};

export function step(entry: RecordEntry | null, event: RecordEvent, now: number): RecordStep {
  switch (event.type) {
    case 'begun':
      return begun(entry, event, now);
    case 'updated':
      return updated(entry, event, now);
    case 'upload-opening':
    case 'upload-begun': {
      if (entry === null || entry.node !== event.node) return refused(entry, NO_RECORD);
      if (entry.state === 'ready') return refused(entry, RECORD_READY);
      const [upload, opening] = event.type === 'upload-begun' ? [event.upload, null] : [null, event.place];
      return to({ ...entry, uploadedBytes: 0, updatedAt: now, upload, opening });
    }
    case 'upload-lost':
      return to(entry === null || isFree(entry) ? entry : { ...entry, ...FREED });
    case 'completed': {
      if (entry?.upload == null) return refused(entry, NO_UPLOAD);
      const { bytes, durationMs } = event;
      const { via, key } = entry.upload;
      const done = { bytes, durationMs, uploadedBytes: bytes, updatedAt: now, endedAt: now, error: null };
      return to({ ...entry, ...done, state: 'ready', upload: null, stored: { via, key } });
    }
    case 'deadline': {
      if (entry === null || abandonedAt(entry) === null || (abandonedAt(entry) ?? now) > now) return to(entry);
      const left = event.isFreed ? FREED : {};
      // Why it failed is known; what its node sent before is of no use to anybody any more.
      if (entry.state === 'failed') return to(event.isFreed ? { ...entry, ...left } : entry);
      const error = 'the media node that has the file has not been heard of for a day';
      return to({ ...entry, state: 'failed', error, endedAt: now, ...left });
    }
  }
}

/** Unix ms at which it, or what a failed one left in the store, will be given up; null: it is over already. */
export function abandonedAt(entry: RecordEntry): number | null {
  const isOver = entry.state === 'ready' || (entry.state === 'failed' && isFree(entry));
  return isOver ? null : entry.updatedAt + ABANDONED_AFTER_MS;
}

function begun(entry: RecordEntry | null, event: Extract<RecordEvent, { type: 'begun' }>, now: number): RecordStep {
  const { node, begin } = event;
  // An id is a secret of the node that made it.
  if (entry !== null) return entry.node === node && entry.name === begin.name ? to(entry) : refused(entry, NO_RECORD);
  const { id, name, lobby, session, contentType, codecs, startedAt } = begin;
  return to({
    ...{ id, name, lobby, session, node, contentType, codecs, startedAt },
    ...{ state: 'recording', bytes: 0, durationMs: 0, uploadedBytes: 0, updatedAt: now },
    ...{ endedAt: null, error: null, upload: null, opening: null, stored: null },
  });
}

function updated(entry: RecordEntry | null, event: Extract<RecordEvent, { type: 'updated' }>, now: number): RecordStep {
  const { node, update } = event;
  if (entry === null || entry.node !== node) return refused(entry, NO_RECORD);
  if (entry.state === 'ready') return refused(entry, RECORD_READY);
  // Late: what came after it has been heard.
  if (!EARLIER[update.state].includes(entry.state)) return to({ ...entry, updatedAt: now });
  const { state, bytes, durationMs } = update;
  const failed = state === 'failed';
  return to({
    ...entry,
    ...{ state, bytes, durationMs, updatedAt: now },
    uploadedBytes: update.uploadedBytes ?? entry.uploadedBytes,
    endedAt: failed ? now : null,
    error: failed ? (update.error ?? 'the media node gave no reason') : (update.error ?? null),
  });
}

function to(entry: RecordEntry | null): RecordStep {
  return { entry, refusal: null };
}

function refused(entry: RecordEntry | null, refusal: Problem): RecordStep {
  return { entry, refusal };
}
