/** What the object of a space offers to the Worker. */
import type { StreamId } from '../../shared/ids.ts';

/** What a space knows of one of its streams. Only its owner and its guests may enter its lobby. */
export interface StreamInfo {
  uuid: StreamId;
  title: string;
  /** A name as tokens carry it: `sub`, `uuid` or `userId@home`. It is the member's `user` everywhere in the lobby. */
  owner: string;
  /** Likewise; nobody is named twice, and the owner is not among them. */
  guests: string[];
}

/** One space: `env.SPACE.getByName(space)`. Asking it writes nothing. */
export interface SpaceRpc {
  /** Null: no such stream, or no such space. */
  stream(input: { stream: StreamId }): Promise<StreamInfo | null>;
  /** Creates the stream or takes the place of what is known of it; with `onlyNew`, what is there stays as it is. */
  put(input: { stream: StreamInfo; onlyNew: boolean }): Promise<'created' | 'updated' | 'exists'>;
  /** False: there was no such stream. */
  delete(input: { stream: StreamId }): Promise<boolean>;
  /**
   * Streams in order of their UUIDs, behind `after`; `member`: those whose owner or guest has one of these names, null:
   * all. `more`: there are others behind the last one.
   */
  list(input: {
    member: readonly string[] | null;
    after: StreamId | null;
    limit: number;
  }): Promise<{ streams: StreamInfo[]; more: boolean }>;
}
