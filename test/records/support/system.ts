/** The whole system with recording switched on, and what its API says of the recordings. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { type StartOptions, startVestibule, type Vestibule } from '../../support/start-vestibule.ts';

export const NODE_TOKEN = 'a-token-for-nodes';
export const ADMIN_TOKEN = 'a-token-for-operators';
export const ADMIN = { Authorization: `Bearer ${ADMIN_TOKEN}` };
/** For hooks that start a system, maybe on a busy machine, maybe the first time after a clone. */
export const START_MS = 150_000;
const SETTLE_MS = 30_000;
const POLL_MS = 200;
const MAX_LISTED = 200;

export interface ListedRecord {
  id: string;
  name: string;
  room: string | null;
  state: string;
  size: number;
  uploadedBytes: number;
  durationMs: number;
  codecs: string[];
  contentType: string;
  startedAt: string;
  error: string | null;
  url: string | null;
}

export class RecordedSystem {
  readonly vestibule: Vestibule;
  /** Where its media nodes keep their files, each in a folder with its name. */
  readonly folder: string;

  constructor(vestibule: Vestibule, folder: string) {
    this.vestibule = vestibule;
    this.folder = folder;
  }

  get url(): string {
    return this.vestibule.url;
  }

  publishUrl(room: string): string {
    return `${this.url}/api/whip/publish/${room}`;
  }

  /** Newest first. */
  async list(room?: string): Promise<ListedRecord[]> {
    const query = room === undefined ? '' : `&room=${room}`;
    const answer = await fetch(`${this.url}/api/records?limit=${MAX_LISTED}${query}`, { headers: ADMIN });
    if (!answer.ok) throw new Error(`no list: ${answer.status} ${await answer.text()}`);
    return (await answer.json()) as ListedRecord[];
  }

  /** Resolves with a room's recordings when there are so many, and all are `ready` or `failed`. */
  async settled(room: string, count = 1, deadlineMs = SETTLE_MS): Promise<ListedRecord[]> {
    return this.when(
      (found) => found.length === count && found.every(({ state }) => state === 'ready' || state === 'failed'),
      `${count} settled recordings of ${room}`,
      room,
      deadlineMs,
    );
  }

  /** Resolves when the list is as it should be; an edge that does not answer is asked again. */
  async when(
    isRight: (found: ListedRecord[]) => boolean,
    what: string,
    room?: string,
    deadlineMs = SETTLE_MS,
  ): Promise<ListedRecord[]> {
    let last: ListedRecord[] = [];
    const endMs = performance.now() + deadlineMs;
    for (;;) {
      last = await this.list(room).catch(() => last);
      if (isRight(last)) return last;
      if (performance.now() > endMs) {
        throw new Error(`${what}: not within ${deadlineMs} ms: ${JSON.stringify(last)}\n${this.vestibule.log}`);
      }
      await delay(POLL_MS);
    }
  }

  /** Downloads it with the operator's token; resolves with the path of the copy. */
  async download({ name }: ListedRecord): Promise<string> {
    const answer = await fetch(`${this.url}/records/${name}`, { headers: ADMIN });
    if (!answer.ok) throw new Error(`${name}: ${answer.status}`);
    const path = join(await mkdtemp(join(this.folder, 'copy-')), name);
    await writeFile(path, Buffer.from(await answer.arrayBuffer()));
    return path;
  }

  /** Ends it, and removes its files and all copies. */
  async close(): Promise<void> {
    await this.vestibule.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  async record(room: string, on: boolean): Promise<void> {
    const url = `${this.url}/api/admin/rooms/${room}/recording`;
    const answer = await fetch(url, { method: on ? 'PUT' : 'DELETE', headers: ADMIN });
    if (!answer.ok) throw new Error(`recording of ${room}: ${answer.status} ${await answer.text()}`);
  }
}

/** Records every room, unless `env` says otherwise. Close it. */
export async function startRecordedSystem(options: StartOptions = {}): Promise<RecordedSystem> {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-system-'));
  const env = { NODE_TOKEN, ADMIN_TOKEN, RECORD_ENABLED: '1', RECORD_DIR: folder, ...options.env };
  const vestibule = await startVestibule({ ...options, env });
  return new RecordedSystem(vestibule, folder);
}
