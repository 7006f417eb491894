/**
 * A file that grows: writes in order, without anybody waiting for the disk, and says how much is still on the way. What was
 * written is synced at once, beside the next writes: a power cut costs what came since, a segment or two.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Patch } from './container/container.ts';
import { syncFolder } from './sync-folder.ts';

export interface DiskFileEvents {
  /** More reached the file. */
  onWritten(): void;
  /** Nothing more will be written. */
  onError(error: Error): void;
}

export class DiskFile {
  readonly path: string;
  readonly #handle: FileHandle;
  readonly #events: DiskFileEvents;
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #writtenBytes = 0;
  #error: Error | null = null;
  #work: Promise<void> | null = null;
  #syncing: Promise<void> | null = null;
  #unsynced = false;

  private constructor(path: string, handle: FileHandle, events: DiskFileEvents) {
    this.path = path;
    this.#handle = handle;
    this.#events = events;
  }

  /** @throws Error when it cannot be created */
  static async create(path: string, events: DiskFileEvents): Promise<DiskFile> {
    const handle = await open(path, 'wx', 0o600);
    await syncFolder(dirname(path));
    return new DiskFile(path, handle, events);
  }

  get writtenBytes(): number {
    return this.#writtenBytes;
  }

  /** Handed over and not in the file yet. */
  get pendingBytes(): number {
    return this.#queuedBytes;
  }

  /** Where the next byte goes. */
  get position(): number {
    return this.#writtenBytes + this.#queuedBytes;
  }

  append(parts: readonly Buffer[]): void {
    if (this.#error !== null) return;
    for (const part of parts) {
      this.#queue.push(part);
      this.#queuedBytes += part.length;
    }
    this.#work ??= this.#run().finally(() => {
      this.#work = null;
    });
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0 && this.#error === null) {
      const chunk = Buffer.concat(this.#queue);
      this.#queue = [];
      try {
        await this.#writeAll(chunk, this.#writtenBytes);
      } catch (error) {
        this.#stop(error);
        return;
      }
      this.#writtenBytes += chunk.length;
      // A sync may have failed meanwhile: then nothing waits any more.
      this.#queuedBytes = Math.max(0, this.#queuedBytes - chunk.length);
      this.#unsynced = true;
      this.#syncing ??= this.#sync().finally(() => {
        this.#syncing = null;
      });
      this.#events.onWritten();
    }
  }

  /** One at a time: on a slow disk each covers more. */
  async #sync(): Promise<void> {
    while (this.#unsynced && this.#error === null) {
      this.#unsynced = false;
      await this.#handle.datasync().catch((error) => this.#stop(error));
    }
  }

  #stop(error: unknown): void {
    if (this.#error !== null) return;
    this.#error = error instanceof Error ? error : new Error(String(error));
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#events.onError(this.#error);
  }

  async #writeAll(data: Buffer, position: number): Promise<void> {
    for (let done = 0; done < data.length; ) {
      const { bytesWritten } = await this.#handle.write(data, done, data.length - done, position + done);
      done += bytesWritten;
    }
  }

  /** Writes what is left, then the patches, and closes. Resolves with the error that stopped it, if one did. */
  async finish(patches: readonly Patch[]): Promise<Error | null> {
    await this.#work;
    await this.#syncing;
    try {
      if (this.#error === null) {
        await this.#handle.datasync();
        for (const { position, data } of patches) await this.#writeAll(data, position);
        await this.#handle.datasync();
      }
    } catch (error) {
      this.#error = error instanceof Error ? error : new Error(String(error));
    }
    await this.#handle.close().catch(() => {});
    return this.#error;
  }
}
