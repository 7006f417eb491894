/** The edge's side of `/node/records`, in this process and in memory, that can have a bad day. */
import { createHash, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  PART_BYTES,
  type RecordBegin,
  type RecordState,
  recordBeginSchema,
  recordCompleteSchema,
  recordUpdateSchema,
} from '../../../shared/protocol/records.ts';

export interface KnownRecord {
  begin: RecordBegin;
  state: RecordState;
  states: RecordState[];
  error: string | null;
  bytes: number;
  durationMs: number;
  upload: boolean;
  parts: Map<number, { etag: string; data: Buffer }>;
  /** Parts that came while it was still recording. */
  earlyParts: number;
  object: Buffer | null;
}

/** What goes wrong with a request: an answer of that status and code, or the connection is cut in the middle. */
export type Mishap = { status: number; code: string } | 'cut';

export class RecordsEdge {
  readonly url: string;
  readonly records = new Map<string, KnownRecord>();
  /** Asked for each request; null: nothing goes wrong. */
  mishap: (method: string, path: string) => Mishap | null = () => null;
  readonly requests: string[] = [];
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  static async open(): Promise<RecordsEdge> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const edge = new RecordsEdge(server);
    server.on('request', (request, response) => {
      edge.#answer(request, response).catch(() => response.destroy());
    });
    return edge;
  }

  get all(): KnownRecord[] {
    return [...this.records.values()];
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '' } = request;
    this.requests.push(`${method} ${url}`);
    const mishap = this.mishap(method, url);
    if (mishap === 'cut') {
      request.once('data', () => request.destroy());
      request.once('end', () => response.destroy());
      request.resume();
      return;
    }
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const body = Buffer.concat(chunks);
    const problem = (status: number, code: string): void => {
      response.writeHead(status, { 'content-type': 'application/problem+json' }).end(JSON.stringify({ status, code }));
    };
    const json = (value: unknown): void => {
      response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(value));
    };
    if (mishap !== null) return problem(mishap.status, mishap.code);
    if (request.headers.authorization !== 'Bearer node-token') return problem(401, 'unauthorized');
    const [, id = '', what, part] = url.slice('/node/records'.length).split('/');
    if (method === 'POST' && id === '') {
      this.#begin(recordBeginSchema.parse(JSON.parse(body.toString())));
      response.writeHead(201).end();
      return;
    }
    const record = this.records.get(id);
    if (record === undefined) return problem(404, 'no_record');
    if (record.state === 'ready') return problem(409, 'record_ready');
    if (method === 'PATCH') {
      const update = recordUpdateSchema.parse(JSON.parse(body.toString()));
      record.state = update.state;
      if (record.states.at(-1) !== update.state) record.states.push(update.state);
      record.error = update.error ?? null;
      return json({});
    }
    if (what === 'upload' && method === 'POST') {
      record.upload = true;
      const parts = [...record.parts].map(([number, { etag }]) => ({ part: number, etag }));
      return json({ via: 'edge', partBytes: PART_BYTES, parts });
    }
    if (!record.upload) return problem(409, 'no_upload');
    if (what === 'upload') {
      record.upload = false;
      record.parts.clear();
      response.writeHead(204).end();
      return;
    }
    if (what === 'parts') {
      const md5 = createHash('md5').update(body).digest('base64');
      if (request.headers['content-md5'] !== md5) return problem(422, 'bad_checksum');
      const etag = randomUUID();
      record.parts.set(Number(part), { etag, data: body });
      if (record.state === 'recording') record.earlyParts++;
      return json({ part: Number(part), etag });
    }
    const { parts, bytes, durationMs } = recordCompleteSchema.parse(JSON.parse(body.toString()));
    const stored = parts.map((receipt) => record.parts.get(receipt.part));
    const object = Buffer.concat(stored.map((known) => known?.data ?? Buffer.alloc(0)));
    const fits = parts.every(({ part: number, etag }, at) => stored[at]?.etag === etag && number === at + 1);
    if (!fits || object.length !== bytes) return problem(409, 'part_mismatch');
    Object.assign(record, { state: 'ready', object, bytes, durationMs });
    record.states.push('ready');
    response.writeHead(200).end();
  }

  #begin(begin: RecordBegin): void {
    if (this.records.has(begin.id)) return;
    this.records.set(begin.id, {
      ...{ begin, state: 'recording', states: ['recording'], error: null, bytes: 0, durationMs: 0 },
      ...{ upload: false, parts: new Map(), earlyParts: 0, object: null },
    });
  }
}
