/**
 * An S3-compatible store (AWS, MinIO, R2, Garage, …). The edge signs; media nodes get presigned URLs for single parts and
 * never a credential.
 */
import { AwsClient } from 'aws4fetch';
import type { PartReceipt, PartUrl } from '../../shared/protocol/records.ts';
import { type Completion, type ObjectStore, type Place, type StoredObject, StoreError } from './object-store.ts';
import type { Upload } from './record.ts';

export interface S3Settings {
  /** `https://host[:port]` */
  endpoint: string;
  region: string;
  bucket: string;
  accessKey: string;
  secretKey: string;
  /** In front of every key, e.g. `live/`; may be empty. */
  prefix: string;
  /** `host/bucket/key` instead of `bucket.host/key`. */
  pathStyle: boolean;
}

const CALL_DEADLINE_MS = 20_000;
/** A part of 16 MiB takes less than this on a line that can carry a stream at all. */
const PART_URL_SECONDS = 900;
/** Not allowed, not found, not implemented. */
const CANNOT_LIST: readonly number[] = [400, 403, 404, 405, 501];
const UPLOAD_ELEMENT = /<Upload>(.*?)<\/Upload>/gs;

export class S3Store implements ObjectStore {
  readonly via = 's3';
  readonly #settings: S3Settings;
  readonly #aws: AwsClient;

  constructor(settings: S3Settings) {
    this.#settings = settings;
    const { accessKey: accessKeyId, secretKey: secretAccessKey, region } = settings;
    // Our callers repeat by themselves; repeating here, too, would multiply the wait.
    this.#aws = new AwsClient({ accessKeyId, secretAccessKey, region, service: 's3', retries: 0 });
  }

  async begin(name: string, contentType: string): Promise<Upload> {
    const place = this.placeOf(name);
    const { key } = place;
    const response = await this.#call(this.#url(key, { uploads: '' }), 'POST', { 'Content-Type': contentType });
    const xml = await textOf(response);
    const uploadId = elementOf(xml, 'UploadId');
    if (!response.ok || uploadId === null) throw refusal('begin an upload', response.status, xml);
    return { ...place, uploadId };
  }

  placeOf(name: string): Place {
    return { via: this.via, key: `${this.#settings.prefix}${name}` };
  }

  /** `ListMultipartUploads` of this key. Not all stores have it, and not all keys may ask for it. */
  async sweep({ via, key }: Place): Promise<void> {
    const response = await this.#call(this.#url('', { uploads: '', prefix: key }), 'GET');
    const xml = await textOf(response);
    if (CANNOT_LIST.includes(response.status)) return;
    if (!response.ok) throw refusal('list its uploads', response.status, xml);
    for (const [, upload = ''] of xml.matchAll(UPLOAD_ELEMENT)) {
      const uploadId = elementOf(upload, 'UploadId');
      if (elementOf(upload, 'Key') === key && uploadId !== null) await this.abort({ via, key, uploadId });
    }
  }

  putPart(): Promise<PartReceipt> {
    return Promise.reject(new StoreError('parts go to the store itself'));
  }

  async partUrl({ key, uploadId }: Upload, part: number): Promise<PartUrl> {
    const url = this.#url(key, { partNumber: String(part), uploadId, 'X-Amz-Expires': String(PART_URL_SECONDS) });
    const signed = await this.#aws.sign(url, { method: 'PUT', aws: { signQuery: true } });
    return { url: signed.url, headers: {} };
  }

  async complete({ key, uploadId }: Upload, parts: readonly PartReceipt[]): Promise<Completion> {
    const list = parts
      .map(({ part, etag }) => `<Part><PartNumber>${part}</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`)
      .join('');
    const body = `<CompleteMultipartUpload xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${list}</CompleteMultipartUpload>`;
    const response = await this.#call(
      this.#url(key, { uploadId }),
      'POST',
      { 'Content-Type': 'application/xml' },
      body,
    );
    const xml = await textOf(response);
    // A 200 may carry an error: the store begins to answer before it is done.
    const isDone = response.ok && elementOf(xml, 'Code') === null;
    const bytes = await this.#size(key);
    if (bytes !== null) return { kind: 'done', bytes };
    if (isDone || (response.status >= 400 && response.status < 500)) return { kind: 'lost' };
    throw refusal('complete the upload', response.status, xml);
  }

  async abort({ key, uploadId }: Upload): Promise<void> {
    const response = await this.#call(this.#url(key, { uploadId }), 'DELETE');
    const xml = await textOf(response);
    // 405: a store that cannot abort; its own rules clean up (a lifecycle rule, see the docs).
    if (!response.ok && response.status !== 404 && response.status !== 405) {
      throw refusal('abort the upload', response.status, xml);
    }
  }

  async read(key: string, range: { first: number; last: number } | null): Promise<StoredObject | null> {
    const headers: Record<string, string> = range === null ? {} : { Range: `bytes=${range.first}-${range.last}` };
    const response = await this.#call(this.#url(key, {}), 'GET', headers);
    if (response.status === 404) {
      await response.body?.cancel();
      return null;
    }
    if (response.status !== (range === null ? 200 : 206) || response.body === null) {
      throw refusal('read the object', response.status, await textOf(response));
    }
    return { body: response.body, etag: response.headers.get('ETag') };
  }

  async delete(key: string): Promise<void> {
    const response = await this.#call(this.#url(key, {}), 'DELETE');
    const xml = await textOf(response);
    if (!response.ok && response.status !== 404) throw refusal('delete the object', response.status, xml);
  }

  async #size(key: string): Promise<number | null> {
    const response = await this.#call(this.#url(key, {}), 'HEAD');
    await response.body?.cancel();
    if (response.status === 404) return null;
    const length = Number(response.headers.get('Content-Length'));
    if (!response.ok || !Number.isSafeInteger(length)) throw refusal('look at the object', response.status, '');
    return length;
  }

  async #call(url: string, method: string, headers: Record<string, string> = {}, body?: string): Promise<Response> {
    const request = await this.#aws.sign(url, { method, headers, ...(body === undefined ? {} : { body }) });
    try {
      // The signal ends the wait for the answer's head; a body that is being read has its reader's patience.
      const deadline = AbortSignal.timeout(CALL_DEADLINE_MS);
      return await (method === 'GET'
        ? withDeadline(fetch(request), CALL_DEADLINE_MS)
        : fetch(request, { signal: deadline }));
    } catch (error) {
      throw new StoreError('the S3 store cannot be reached', { cause: error });
    }
  }

  #url(key: string, query: Record<string, string>): string {
    const { endpoint, bucket, pathStyle } = this.#settings;
    const url = new URL(endpoint);
    const path = key.split('/').map(encodeURIComponent).join('/');
    if (pathStyle) url.pathname = `/${bucket}/${path}`;
    else {
      url.hostname = `${bucket}.${url.hostname}`;
      url.pathname = `/${path}`;
    }
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    return url.href;
  }
}

async function withDeadline<T>(work: Promise<T>, deadlineMs: number): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), deadlineMs);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

async function textOf(response: Response): Promise<string> {
  try {
    return new TextDecoder().decode(await response.arrayBuffer());
  } catch (error) {
    throw new StoreError('the answer of the S3 store ended early', { cause: error });
  }
}

function refusal(what: string, status: number, xml: string): StoreError {
  const code = elementOf(xml, 'Code');
  return new StoreError(`the S3 store did not ${what}: ${status}${code === null ? '' : ` ${code}`}`);
}

/** S3 answers in flat XML: the text of the first such element. */
function elementOf(xml: string, name: string): string | null {
  const text = new RegExp(`<${name}>([^<]{1,1024})</${name}>`).exec(xml)?.[1];
  return text === undefined ? null : text.replaceAll('&quot;', '"').replaceAll('&amp;', '&');
}

function escapeXml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}
