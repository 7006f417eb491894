/** The files of this node: makes new ones, finishes those that an earlier process left, and hands all to the uploads. */
import { mkdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { mintRecordId, recordFileName } from './file-name.ts';
import { RecordFile } from './record-file.ts';
import type { NewFile } from './recorder.ts';
import { type Repaired, repair } from './repair.ts';
import { EdgeClient } from './upload/edge-client.ts';
import { type Journal, journalPath, readJournals, removeJournal } from './upload/journal.ts';
import { Uploads } from './upload/uploads.ts';
import type { OpenRecording, RecorderSettings } from './worker-messages.ts';

/** Something broke, the disk was full perhaps: what came before is looked at again without waiting for the next start. */
const SALVAGE_MS = 600_000;
/** On the disk and in the catalogue there may be more; this is for those that were deleted on the disk. */
const MAX_NAMES = 10_000;

export class RecordStore {
  readonly uploads: Uploads;
  readonly #settings: RecorderSettings;
  readonly #log: (message: string) => void;
  readonly #events;
  /** Names that were given lately: a recording that is switched off and on again begins another file. */
  readonly #names = new Set<string>();
  /** Files that broke in this process, each looked at once. */
  readonly #salvages = new Map<string, NodeJS.Timeout>();
  #stopped = false;
  #recovering = 0;

  constructor(settings: RecorderSettings, log: (message: string) => void, onChange: (file: RecordFile) => void) {
    this.#settings = settings;
    this.#log = log;
    const { edgeUrl, token, node, deleteAfterUpload } = settings;
    this.uploads = new Uploads({ client: new EdgeClient({ edgeUrl, token, node }), deleteAfterUpload, log });
    this.#events = {
      onChange: (file: RecordFile) => {
        this.uploads.note(file);
        if (file.isBroken && !this.#salvages.has(file.begin.name)) this.#salvageLater(file);
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
    const name = await this.#name((again) => recordFileName(lobby, id, startedAt, count + again, extension));
    const begin = { id: mintRecordId(), name, boot, lobby, session, contentType, codecs: [...codecs], startedAt };
    return await RecordFile.create(begin, folder, this.#events);
  }

  /** One that nobody has had, though the clock may have gone back: its journal would take the place of another's. */
  async #name(candidate: (again: number) => string): Promise<string> {
    for (let again = 0; ; again++) {
      const name = candidate(again);
      if (this.#names.has(name)) continue;
      this.#names.add(name);
      const [oldest = name] = this.#names;
      if (this.#names.size > MAX_NAMES) this.#names.delete(oldest);
      const paths = [join(this.#settings.folder, name), journalPath(this.#settings.folder, name)];
      const found = await Promise.allSettled(paths.map((path) => stat(path)));
      if (found.every(({ status }) => status === 'rejected')) return name;
    }
  }

  /** Files that may be in the store soon, and what has not been looked at. */
  get left(): number {
    return this.#recovering + this.uploads.left;
  }

  /** Resolves when there is nothing left, or nothing that would be in the store soon. */
  async settled(): Promise<void> {
    await this.uploads.settled();
  }

  /** Whatever is in the folder becomes whole and goes to the store, or is told to have failed. */
  async recover(): Promise<void> {
    this.#recovering++;
    await this.#recover();
    this.#recovering--;
  }

  async #recover(): Promise<void> {
    const { folder } = this.#settings;
    const journals = await readJournals(folder, this.#log).catch(() => []);
    for (const journal of journals) {
      // Begun meanwhile: it is being written.
      if (this.#names.has(journal.begin.name)) continue;
      try {
        await this.#restore(journal);
      } catch (error) {
        const { name } = journal.begin;
        this.#log(`${name} cannot be recovered: ${error instanceof Error ? error.message : error}`);
      }
    }
  }

  #salvageLater(file: RecordFile): void {
    if (this.#stopped) return;
    const timer = setTimeout(() => void this.#salvage(file), SALVAGE_MS);
    this.#salvages.set(file.begin.name, timer);
  }

  async #salvage(file: RecordFile): Promise<void> {
    const { name } = file.begin;
    // First the edge hears that it failed: two who speak of one recording would contradict each other.
    if (this.uploads.has(file)) return this.#salvageLater(file);
    try {
      const journals = await readJournals(this.#settings.folder, () => {});
      const journal = journals.find(({ begin }) => begin.name === name);
      if (journal !== undefined && !this.#stopped) await this.#restore(journal);
    } catch (error) {
      this.#log(`${name} cannot be saved yet: ${error instanceof Error ? error.message : error}`);
      this.#salvageLater(file);
    }
  }

  /** Uploads that are under way go on in the next process. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const timer of this.#salvages.values()) clearTimeout(timer);
    await this.uploads.stop();
  }

  async #restore(journal: Journal): Promise<void> {
    if (journal.forsaken) return;
    const { folder } = this.#settings;
    const file = RecordFile.restore(journal, folder, this.#events);
    const size = await stat(file.path).then(
      (stats) => stats.size,
      () => null,
    );
    if (journal.state === 'ready') {
      // The process ended after it had deleted the file.
      if (size === null) await removeJournal(folder, journal.begin.name);
      return;
    }
    if (journal.state === 'uploading' && size === journal.bytes) {
      this.uploads.note(file);
      return;
    }
    let repaired: Repaired | null = null;
    try {
      repaired = size === null ? null : await repair(file.path);
    } catch (error) {
      // The disk may be full: there is another day.
      await file.progress('failed', `it cannot be recovered now: ${error instanceof Error ? error.message : error}`);
      this.#log(`recording ${journal.begin.name}: ${file.error}`);
      this.#salvageLater(file);
      return;
    }
    if (repaired === null) {
      const reason = size === null ? 'its file is gone' : 'it ended before anything was in it';
      await file.progress('failed', journal.error ?? reason);
    } else {
      this.#log(`recording ${journal.begin.name} was left unfinished: ${repaired.bytes} bytes of it are whole`);
      await file.settle(repaired.bytes, repaired.durationMs, repaired.trustedBytes);
    }
  }
}
