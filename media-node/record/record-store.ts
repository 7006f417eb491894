/** The files of this node: makes new ones, finishes those that an earlier process left, and hands all to the uploads. */
import { mkdir, stat } from 'node:fs/promises';
import { mintRecordId, recordFileName } from './file-name.ts';
import { RecordFile } from './record-file.ts';
import type { NewFile } from './recorder.ts';
import { repair } from './repair.ts';
import { EdgeClient } from './upload/edge-client.ts';
import { type Journal, readJournals } from './upload/journal.ts';
import { Uploads } from './upload/uploads.ts';
import type { OpenRecording, RecorderSettings } from './worker-messages.ts';

export class RecordStore {
  readonly uploads: Uploads;
  readonly #settings: RecorderSettings;
  readonly #log: (message: string) => void;
  readonly #events;

  constructor(settings: RecorderSettings, log: (message: string) => void, onChange: (file: RecordFile) => void) {
    this.#settings = settings;
    this.#log = log;
    const { edgeUrl, token, node, deleteAfterUpload } = settings;
    this.uploads = new Uploads({ client: new EdgeClient({ edgeUrl, token, node }), deleteAfterUpload, log });
    this.#events = {
      onChange: (file: RecordFile) => {
        this.uploads.note(file);
        onChange(file);
      },
      log,
    };
  }

  /** Never throws: a file that cannot be made has failed, and the edge is told. */
  async create({ lobby, session }: OpenRecording, file: NewFile): Promise<RecordFile> {
    const { folder, boot } = this.#settings;
    await mkdir(folder, { recursive: true }).catch(() => {});
    const startedAt = Date.now();
    const { id, extension, contentType, codecs, count } = file;
    const name = recordFileName(lobby, id, startedAt, count, extension);
    const begin = { id: mintRecordId(), name, boot, lobby, session, contentType, codecs: [...codecs], startedAt };
    return await RecordFile.create(begin, folder, this.#events);
  }

  /** Whatever is in the folder becomes whole and goes to the store, or is told to have failed. */
  async recover(): Promise<void> {
    const { folder } = this.#settings;
    const journals = await readJournals(folder, this.#log).catch(() => []);
    for (const journal of journals) {
      try {
        await this.#restore(journal);
      } catch (error) {
        const { name } = journal.begin;
        this.#log(`${name} cannot be recovered: ${error instanceof Error ? error.message : error}`);
      }
    }
  }

  async #restore(journal: Journal): Promise<void> {
    if (journal.state === 'ready' || journal.forsaken) return;
    const file = RecordFile.restore(journal, this.#settings.folder, this.#events);
    const size = await stat(file.path).then(
      (stats) => stats.size,
      () => null,
    );
    if (journal.state === 'uploading' && size === journal.bytes) {
      this.uploads.note(file);
      return;
    }
    const repaired = size === null ? null : await repair(file.path);
    if (repaired === null) {
      const reason = size === null ? 'its file is gone' : 'it ended before anything was in it';
      await file.progress('failed', journal.error ?? reason);
    } else {
      this.#log(`recording ${journal.begin.name} was left unfinished: ${repaired.bytes} bytes of it are whole`);
      await file.settle(repaired.bytes, repaired.durationMs, repaired.trustedBytes);
    }
  }
}
