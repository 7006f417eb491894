/**
 * Where finished recordings are kept. Two kinds: the R2 bucket that is bound to the worker, and any S3-compatible store.
 * Every call has a deadline and may be repeated.
 */
import type { PartReceipt, PartUrl } from '../../shared/protocol/records.ts';
import type { Upload } from './record.ts';

/** Where in a store something lies, or is to lie. */
export type Place = Pick<Upload, 'via' | 'key'>;

/** `lost`: the store does not know this upload (any more), or does not take these parts. */
export type Completion = { kind: 'done'; bytes: number } | { kind: 'lost' };

export interface StoredObject {
  body: ReadableStream<Uint8Array>;
  etag: string | null;
}

export interface ObjectStore {
  readonly via: Upload['via'];
  /** Where a file of this name goes. */
  placeOf(name: string): Place;
  /** Opens a multipart upload. @throws {StoreError} */
  begin(name: string, contentType: string): Promise<Upload>;
  /**
   * Frees what calls of `begin` have left there whose answer never came. For when no upload of this place is known. A store
   * that does not say which there are keeps them: they are empty, and its own rules end them. @throws {StoreError}
   */
  sweep(place: Place): Promise<void>;
  /** Through the edge only. @throws {StoreError}, {UploadLostError} */
  putPart(upload: Upload, part: number, body: ReadableStream<Uint8Array>): Promise<PartReceipt>;
  /** For a node that sends the bytes itself; null: parts come through the edge. */
  partUrl(upload: Upload, part: number): Promise<PartUrl | null>;
  /** Repeating it after it was done is `done`. @throws {StoreError} when the store cannot be asked */
  complete(upload: Upload, parts: readonly PartReceipt[]): Promise<Completion>;
  /** Frees what an unfinished upload holds. @throws {StoreError} */
  abort(upload: Upload): Promise<void>;
  /** Bytes `first` to `last`, both included; null: there is no such object. @throws {StoreError} */
  read(key: string, range: { first: number; last: number } | null): Promise<StoredObject | null>;
  /** An object that is not there is deleted already. @throws {StoreError} */
  delete(key: string): Promise<void>;
}

/** The store does not know the upload (any more). */
export class UploadLostError extends Error {
  override readonly name = 'UploadLostError';
}

/** The store could not be asked or answered with something that was not understood. Nothing secret is in the message. */
export class StoreError extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StoreError';
  }
}
