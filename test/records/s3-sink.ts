/** A real S3 server on a free port, and a front before it that fails as it is told to. */
import { mkdtemp, rm } from 'node:fs/promises';
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type RequestOptions,
  type ServerResponse,
} from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import S3rver from '@20minutes/s3rver';

export const S3_KEYS = { S3_ACCESS_KEY: 'S3RVER', S3_SECRET_KEY: 'S3RVER' };

/**
 * `500`: answered so, without asking the store. `cut`: the connection ends without an answer. `lost`: done, but the answer
 * is cut off. `slow`: done, after a while.
 */
export type Trouble = '500' | 'cut' | 'lost' | 'slow';

const SLOW_MS = 1_000;

export class S3Sink implements AsyncDisposable {
  readonly endpoint: string;
  readonly bucket = 'rec';
  /** Asked for each request before it is passed on; null: no trouble. */
  trouble: (method: string, url: URL) => Trouble | null = () => null;
  /** `METHOD kind`, as they came. */
  readonly seen: string[] = [];
  readonly #stop: () => Promise<void>;
  /** Keys of multipart uploads that were begun, by their ids, until they are completed or aborted. */
  readonly #open = new Map<string, string>();

  private constructor(endpoint: string, stop: () => Promise<void>) {
    this.endpoint = endpoint;
    this.#stop = stop;
  }

  static async start(): Promise<S3Sink> {
    const directory = await mkdtemp(join(tmpdir(), 'vestibule-s3-'));
    const configureBuckets = [{ name: 'rec', configs: [] }];
    const server = new S3rver({ port: 0, address: '127.0.0.1', silent: true, directory, configureBuckets });
    const { port } = await server.run();
    let sink: S3Sink | undefined;
    const front = createServer((incoming, outgoing) => sink?.pass(incoming, outgoing, port));
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    sink = new S3Sink(`http://127.0.0.1:${(front.address() as AddressInfo).port}`, async () => {
      front.closeAllConnections();
      await new Promise((resolve) => front.close(resolve));
      await server.close();
      await rm(directory, { recursive: true, force: true });
    });
    return sink;
  }

  /** The settings by which the edge finds it. */
  get settings(): Record<string, string> {
    return { S3_ENDPOINT: this.endpoint, S3_BUCKET: this.bucket, S3_PREFIX: 'live/', ...S3_KEYS };
  }

  /** Keys of multipart uploads that were neither completed nor aborted. */
  get openUploads(): string[] {
    return [...this.#open.values()];
  }

  pass(incoming: IncomingMessage, outgoing: ServerResponse, port: number): void {
    const url = new URL(incoming.url ?? '/', this.endpoint);
    const method = incoming.method ?? 'GET';
    this.seen.push(`${method} ${url.pathname}`);
    const trouble = this.trouble(method, url);
    if (trouble === '500') {
      incoming.resume();
      outgoing.writeHead(500).end('<Error><Code>InternalError</Code></Error>');
      return;
    }
    if (trouble === 'cut') {
      incoming.socket.destroy();
      return;
    }
    // The host is signed: it stays what the caller said.
    const options = { port, host: '127.0.0.1', method, path: incoming.url, headers: incoming.headers };
    const pass = (): void => {
      if (!this.#isAnswered(method, url, outgoing)) this.#forward(incoming, outgoing, options, trouble === 'lost');
    };
    if (trouble === 'slow') setTimeout(pass, SLOW_MS);
    else pass();
  }

  /** s3rver neither lists uploads nor aborts them. */
  #isAnswered(method: string, { searchParams }: URL, outgoing: ServerResponse): boolean {
    const aborted = searchParams.get('uploadId');
    if (method === 'GET' && searchParams.has('uploads')) {
      const prefix = searchParams.get('prefix') ?? '';
      const found = [...this.#open].filter(([, key]) => key.startsWith(prefix));
      const xml = found.map(([id, key]) => `<Upload>\n<Key>${key}</Key><UploadId>${id}</UploadId></Upload>`).join('');
      outgoing.end(`<ListMultipartUploadsResult><Bucket>rec</Bucket>${xml}</ListMultipartUploadsResult>`);
    } else if (method === 'DELETE' && aborted !== null) {
      outgoing.writeHead(this.#open.delete(aborted) ? 204 : 404).end();
    } else return false;
    return true;
  }

  /** What becomes of uploads. */
  #watch({ method, path }: RequestOptions, answer: IncomingMessage): void {
    const { pathname, searchParams } = new URL(path ?? '/', this.endpoint);
    if (method !== 'POST' || answer.statusCode !== 200) return;
    this.#open.delete(searchParams.get('uploadId') ?? '');
    if (!searchParams.has('uploads')) return;
    let xml = '';
    answer.on('data', (chunk: Buffer) => {
      xml += chunk.toString();
    });
    answer.on('end', () => {
      const id = /<UploadId>(.*?)<\/UploadId>/.exec(xml)?.[1];
      if (id !== undefined) this.#open.set(id, decodeURIComponent(pathname.slice(`/${this.bucket}/`.length)));
    });
  }

  #forward(incoming: IncomingMessage, outgoing: ServerResponse, options: RequestOptions, losesAnswer: boolean): void {
    const passed = httpRequest(options, (answer) => {
      this.#watch(options, answer);
      if (losesAnswer) {
        answer.resume().on('end', () => incoming.socket.destroy());
        return;
      }
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    incoming.pipe(passed);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stop();
  }
}
