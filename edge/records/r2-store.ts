/** The R2 bucket that is bound to the worker: in the cloud, or the one of the embedded runtime on this machine's disk. */
import type { PartReceipt } from '../../shared/protocol/records.ts';
import type { Bucket } from './bucket.ts';
import {
  type Completion,
  type ObjectStore,
  type Place,
  type StoredObject,
  StoreError,
  UploadLostError,
} from './object-store.ts';
import type { Upload } from './record.ts';

export class R2Store implements ObjectStore {
  readonly via = 'edge';
  readonly #bucket: Bucket;

  constructor(bucket: Bucket) {
    this.#bucket = bucket;
  }

  async begin(name: string, contentType: string): Promise<Upload> {
    const upload = await asked(this.#bucket.createMultipartUpload(name, { httpMetadata: { contentType } }));
    return { ...this.placeOf(name), uploadId: upload.uploadId };
  }

  placeOf(name: string): Place {
    return { via: this.via, key: name };
  }

  /** A bucket that is bound does not list uploads. */
  async sweep(): Promise<void> {}

  async putPart({ key, uploadId }: Upload, part: number, body: ReadableStream<Uint8Array>): Promise<PartReceipt> {
    try {
      const { etag } = await this.#bucket.resumeMultipartUpload(key, uploadId).uploadPart(part, body);
      return { part, etag };
    } catch (error) {
      if (isUnknown(error)) throw new UploadLostError('the bucket does not know the upload', { cause: error });
      throw new StoreError('the part could not be stored', { cause: error });
    }
  }

  async partUrl(): Promise<null> {
    return null;
  }

  async complete({ key, uploadId }: Upload, parts: readonly PartReceipt[]): Promise<Completion> {
    const receipts = parts.map(({ part, etag }) => ({ partNumber: part, etag }));
    try {
      const { size } = await this.#bucket.resumeMultipartUpload(key, uploadId).complete(receipts);
      return { kind: 'done', bytes: size };
    } catch (error) {
      // Done before, and the answer was lost on its way: the object is there and the upload is not.
      const known = await asked(this.#bucket.head(key));
      if (known !== null) return { kind: 'done', bytes: known.size };
      if (isRefusal(error)) return { kind: 'lost' };
      throw new StoreError('the upload could not be completed', { cause: error });
    }
  }

  async abort({ key, uploadId }: Upload): Promise<void> {
    try {
      await this.#bucket.resumeMultipartUpload(key, uploadId).abort();
    } catch (error) {
      if (!isRefusal(error)) throw new StoreError('the upload could not be aborted', { cause: error });
    }
  }

  async read(key: string, range: { first: number; last: number } | null): Promise<StoredObject | null> {
    const options = range === null ? {} : { range: { offset: range.first, length: range.last - range.first + 1 } };
    const object = await asked(this.#bucket.get(key, options));
    return object === null ? null : { body: object.body, etag: object.httpEtag };
  }

  async delete(key: string): Promise<void> {
    await asked(this.#bucket.delete(key));
  }
}

async function asked<T>(call: Promise<T>): Promise<T> {
  try {
    return await call;
  } catch (error) {
    throw new StoreError('the bucket could not be asked', { cause: error });
  }
}

/** R2 says in its messages which error it is: `completeMultipartUpload: … (10024)`. */
const REFUSALS = /\((10024|10025|10048|10011|10007)\)/;
const NO_SUCH_UPLOAD = /\(10024\)/;

function isUnknown(error: unknown): boolean {
  return error instanceof Error && NO_SUCH_UPLOAD.test(error.message);
}

function isRefusal(error: unknown): boolean {
  return error instanceof Error && REFUSALS.test(error.message);
}
