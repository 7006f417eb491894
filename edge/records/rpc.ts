/** What the catalogue offers to the worker. As in `../rpc.ts`, a refusal is an `Outcome`. */
import type { Outcome } from '../../shared/errors.ts';
import type { LobbyId, NodeId } from '../../shared/ids.ts';
import type {
  PartReceipt,
  PartUrl,
  RecordBegin,
  RecordComplete,
  RecordId,
  RecordProgress,
  RecordUpdate,
  UploadPlan,
} from '../../shared/protocol/records.ts';
import type { RecordEntry, Upload } from './record.ts';

/** All recordings: `env.RECORDS.getByName('records')`. */
export interface RecordsRpc {
  // From media nodes: each knows its own recordings only (404 `no_record` for all others).
  begin(input: { node: NodeId; begin: RecordBegin }): Promise<Outcome<null>>;
  update(input: { node: NodeId; id: RecordId; update: RecordUpdate }): Promise<Outcome<null>>;
  /** As `update`, for many at once; `refused`: those of which this node may say nothing. */
  progress(input: { node: NodeId; records: RecordProgress[] }): Promise<{ refused: RecordId[] }>;
  /** Begins the upload, or says where the one that was begun stands: 501 `no_store`. */
  upload(input: { node: NodeId; id: RecordId }): Promise<Outcome<UploadPlan>>;
  /** Which upload the worker puts a part into. */
  part(input: { node: NodeId; id: RecordId }): Promise<Outcome<Upload>>;
  partStored(input: {
    node: NodeId;
    id: RecordId;
    uploadId: string;
    receipt: PartReceipt;
    bytes: number;
  }): Promise<Outcome<null>>;
  partUrl(input: { node: NodeId; id: RecordId; part: number }): Promise<Outcome<PartUrl>>;
  complete(input: { node: NodeId; id: RecordId; complete: RecordComplete }): Promise<Outcome<null>>;
  abandon(input: { node: NodeId; id: RecordId }): Promise<Outcome<null>>;

  /** Newest first, those that come behind `before`. */
  list(input: {
    lobby: LobbyId | null;
    before: { startedAt: number; id: string } | null;
    limit: number;
  }): Promise<{ records: RecordEntry[]; more: boolean }>;
  /** The newest recording of each of these lobbies that has any. */
  newestOf(input: { lobbies: LobbyId[] }): Promise<RecordEntry[]>;
  find(input: { name: string }): Promise<RecordEntry | null>;
  /**
   * Deletes the object, then the entry: 404 `no_record`, 409 `record_busy`, 503 `store_unreachable`, 409 `store_gone` when
   * the store is not configured any more, unless `forget`: then the object stays there.
   */
  remove(input: { name: string; forget: boolean }): Promise<Outcome<null>>;
}
