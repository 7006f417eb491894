/** HTTP/1.1 as it stands on the wire: no redirects, no defaults, every header field as it came. */
import { Agent, type IncomingMessage, request } from 'node:http';
import { connect } from 'node:net';

const DEADLINE_MS = 20_000;

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

export interface Sent {
  method?: string;
  headers?: Readonly<Record<string, string>>;
  body?: string | Uint8Array | null;
  /** The body goes out in pieces, without `Content-Length`. */
  chunked?: boolean;
  /** When the server may take longer than usual. */
  deadlineMs?: number;
}

export class Reply {
  readonly status: number;
  /** Name, value, name, value, … */
  readonly rawHeaders: readonly string[];
  readonly bytes: Buffer;

  constructor(message: IncomingMessage, bytes: Buffer) {
    this.status = message.statusCode ?? 0;
    this.rawHeaders = message.rawHeaders;
    this.bytes = bytes;
  }

  get body(): string {
    return this.bytes.toString('utf8');
  }

  get json(): unknown {
    return JSON.parse(this.body);
  }

  /** Each value of the field, in the order of the wire. */
  all(name: string): string[] {
    const found: string[] = [];
    for (let at = 0; at + 1 < this.rawHeaders.length; at += 2) {
      if (this.rawHeaders[at]?.toLowerCase() === name.toLowerCase()) found.push(this.rawHeaders[at + 1] ?? '');
    }
    return found;
  }

  /** The value of a field that may stand once; null when it does not. Throws when it is repeated. */
  header(name: string): string | null {
    const values = this.all(name);
    if (values.length > 1) throw new Error(`${name} stands ${values.length} times: ${values.join(' | ')}`);
    return values[0] ?? null;
  }

  /** Members of a comma-separated field, in lower case. */
  list(name: string): string[] {
    return (this.header(name) ?? '').split(',').flatMap((item) => item.trim().toLowerCase() || []);
  }
}

/** One request; `path` is sent as it is. Rejects when no whole response comes in time. */
export function send(base: string, path: string, sent: Sent = {}): Promise<Reply> {
  const { hostname, port } = new URL(base);
  const body = typeof sent.body === 'string' ? Buffer.from(sent.body) : (sent.body ?? null);
  const headers: Record<string, string> = { ...sent.headers };
  if (body !== null && !sent.chunked) headers['Content-Length'] = String(body.byteLength);
  if (sent.chunked) headers['Transfer-Encoding'] = 'chunked';
  return new Promise((resolve, reject) => {
    const outgoing = request({ hostname, port, path, method: sent.method ?? 'GET', headers, agent }, (message) => {
      const parts: Buffer[] = [];
      message.on('data', (part: Buffer) => parts.push(part));
      message.once('error', reject);
      message.once('end', () => resolve(new Reply(message, Buffer.concat(parts))));
    });
    outgoing.setTimeout(sent.deadlineMs ?? DEADLINE_MS, () =>
      outgoing.destroy(new Error(`no response to ${sent.method} ${path}`)),
    );
    outgoing.once('error', reject);
    if (body !== null && sent.chunked) {
      const half = Math.ceil(body.byteLength / 2);
      outgoing.write(body.subarray(0, half));
      outgoing.write(body.subarray(half));
    } else if (body !== null) {
      outgoing.write(body);
    }
    outgoing.end();
  });
}

/** `send` to one server. */
export type Call = (path: string, sent?: Sent) => Promise<Reply>;

export function callTo(base: string): Call {
  return (path, sent) => send(base, path, sent);
}

/** Writes bytes to a fresh connection; resolves with all that came back when the server closed it, or went quiet. */
export function sendBytes(base: string, bytes: string | Uint8Array, quietMs = 300): Promise<string> {
  const { hostname, port } = new URL(base);
  return new Promise((resolve) => {
    const parts: Buffer[] = [];
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    const finish = (): void => {
      clearTimeout(limit);
      socket.destroy();
      resolve(Buffer.concat(parts).toString('latin1'));
    };
    const limit = setTimeout(finish, DEADLINE_MS);
    socket.on('data', (part) => {
      parts.push(Buffer.from(part));
      socket.setTimeout(quietMs, finish);
    });
    socket.once('error', finish);
    socket.once('close', finish);
  });
}

/** Opens a request whose body does not come: head and `part` are sent, then the connection waits for `abort()`. */
export function openBytes(base: string, bytes: string): { abort(): void } {
  const { hostname, port } = new URL(base);
  const socket = connect(Number(port), hostname, () => socket.write(bytes));
  socket.on('error', () => undefined);
  return { abort: () => socket.destroy() };
}
