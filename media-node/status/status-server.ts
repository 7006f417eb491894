/**
 * The port for those who watch over a node: `/healthz` (it runs and answers), `/readyz` (and the edge sends it people)
 * and `/metrics`. It tells names and addresses to whoever asks, so it listens on loopback unless told otherwise.
 */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { METRICS_TYPE, metricsText } from './metrics.ts';
import type { NodeStatus } from './node-status.ts';

const REQUEST_TIMEOUT_MS = 5_000;
const MAX_CONNECTIONS = 32;

/** What is asked at each request. */
export interface StatusSource {
  /** One of each node that answered. */
  statuses(): Promise<readonly NodeStatus[]>;
  /** How many should have. */
  readonly expected: number;
}

export class StatusServer {
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
  }

  /** @throws Error that names NODE_STATUS_PORT when nothing can listen there */
  static async open(host: string, port: number, source: StatusSource): Promise<StatusServer> {
    const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, (request, response) => {
      const head = { 'cache-control': 'no-store' };
      answer(source, request.method ?? '', request.url ?? '').then(
        ({ status, type, body }) => response.writeHead(status, { ...head, 'content-type': type }).end(body),
        () => response.writeHead(500, head).end(),
      );
    });
    server.maxConnections = MAX_CONNECTIONS;
    try {
      const listening = once(server, 'listening');
      server.listen({ host, port, exclusive: true });
      await listening;
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      const why = code === 'EADDRINUSE' ? 'is in use' : `cannot be used (${code})`;
      throw new Error(`TCP port ${port} on ${host} ${why}: see NODE_STATUS_PORT and NODE_STATUS_HOST`, {
        cause: error,
      });
    }
    return new StatusServer(server);
  }

  /** `host:port`. */
  get address(): string {
    const address = this.#server.address();
    if (address === null || typeof address === 'string') return '';
    return address.family === 'IPv6' ? `[${address.address}]:${address.port}` : `${address.address}:${address.port}`;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

interface Answer {
  status: number;
  type: string;
  body: string;
}

async function answer(source: StatusSource, method: string, url: string): Promise<Answer> {
  if (method !== 'GET' && method !== 'HEAD') return text(405, 'GET only\n');
  const path = url.split('?', 1)[0];
  if (path !== '/healthz' && path !== '/readyz' && path !== '/metrics') return text(404, '/healthz /readyz /metrics\n');
  const statuses = await source.statuses();
  if (path === '/metrics') return { status: 200, type: METRICS_TYPE, body: metricsText(statuses) };
  const healthy = statuses.length >= source.expected;
  const good = path === '/healthz' ? healthy : healthy && statuses.every(({ linked }) => linked);
  const body = { ok: good, expected: source.expected, nodes: statuses };
  return { status: good ? 200 : 503, type: 'application/json', body: `${JSON.stringify(body)}\n` };
}

function text(status: number, body: string): Answer {
  return { status, type: 'text/plain; charset=utf-8', body };
}
