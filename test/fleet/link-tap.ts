/**
 * Stands on the line between media nodes and the edge: nodes dial it in place of the edge. It passes every frame on, remembers
 * what was asked and said, and may change a frame on its way. Other requests of the nodes go through as they are.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, request, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type RawData, WebSocket, WebSocketServer } from 'ws';
import {
  type EdgeFrame,
  edgeFrameSchema,
  type NodeFrame,
  type NodeMethod,
  type NodeRequest,
  nodeFrameSchema,
  type RelayReport,
} from '../../shared/protocol/control.ts';

const HOST = '127.0.0.1';
/** As many frames of each node are remembered. */
const KEPT_FRAMES = 20_000;

type Frame = { from: 'edge'; frame: EdgeFrame } | { from: 'node'; frame: NodeFrame };
/** Returns the frame that goes on in place of this one. */
export type Rewrite = (frame: Frame['frame'], node: string) => Frame['frame'];

export class LinkTap implements AsyncDisposable {
  /** Set to change frames on their way. */
  rewrite: Rewrite = (frame) => frame;
  readonly #server: Server;
  readonly #sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
  readonly #edgeUrl: string;
  readonly #frames = new Map<string, Frame[]>();
  readonly #links = new Map<string, Set<WebSocket>>();

  private constructor(server: Server, edgeUrl: string) {
    this.#server = server;
    this.#edgeUrl = edgeUrl;
    server.on('upgrade', (request, socket, head) => this.#dial(request, socket, head));
    server.on('request', (asked, answer) => this.#passOn(asked, answer));
  }

  static async open(edgeUrl: string): Promise<LinkTap> {
    const server = createServer();
    server.listen(0, HOST);
    await once(server, 'listening');
    return new LinkTap(server, edgeUrl);
  }

  /** What nodes take for the edge. */
  get url(): string {
    return `http://${HOST}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** All that was said on the links of a node, in order. */
  frames(node: string): readonly Frame[] {
    return this.#frames.get(node) ?? [];
  }

  /** What the edge has asked of a node. */
  requests<M extends NodeMethod>(node: string, method: M): Extract<NodeRequest, { method: M }>[] {
    return this.frames(node).flatMap(({ from, frame }) => {
      if (from !== 'edge' || frame.type !== 'request' || frame.request.method !== method) return [];
      return [frame.request as Extract<NodeRequest, { method: M }>];
    });
  }

  /** The relays that a node has said to pull, each as it was last said to be; those that are closed are left out. */
  relays(node: string): RelayReport[] {
    const relays = new Map<string, RelayReport>();
    for (const { from, frame } of this.frames(node)) {
      if (from !== 'node' || frame.type === 'response') continue;
      if (frame.type === 'hello') relays.clear();
      for (const relay of frame.relays ?? []) {
        if (relay.state === 'closed') relays.delete(relay.session);
        else relays.set(relay.session, relay);
      }
    }
    return [...relays.values()];
  }

  /** Sends a frame to the edge as if the node had said it. */
  inject(node: string, frame: unknown): void {
    for (const upstream of this.#links.get(node) ?? []) upstream.send(JSON.stringify(frame));
  }

  async close(): Promise<void> {
    for (const links of this.#links.values()) for (const link of links) link.terminate();
    for (const client of this.#sockets.clients) client.terminate();
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** What nodes ask beside their link: they hand in recordings. */
  #passOn(asked: IncomingMessage, answer: ServerResponse): void {
    const { method, headers } = asked;
    const passed = request(new URL(asked.url ?? '/', this.#edgeUrl), { method, headers });
    passed.on('response', (response) => {
      answer.writeHead(response.statusCode ?? 502, response.headers);
      pipeline(response, answer).catch(() => answer.destroy());
    });
    // Who asked asks again.
    pipeline(asked, passed).catch(() => answer.destroy());
  }

  #dial(request: IncomingMessage, socket: Duplex, head: Buffer): void {
    const { authorization, 'vestibule-node': node } = request.headers;
    const headers: Record<string, string> = {};
    if (authorization !== undefined) headers.authorization = authorization;
    if (typeof node === 'string') headers['vestibule-node'] = node;
    const name = headers['vestibule-node'] ?? '';
    const upstream = new WebSocket(new URL(request.url ?? '/', this.#edgeUrl), { headers, perMessageDeflate: false });
    let isOpen = false;
    const refuse = (status: number): void => {
      socket.end(`HTTP/1.1 ${status} refused\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
    };
    socket.on('error', () => upstream.terminate());
    upstream.on('unexpected-response', (_sent, response) => {
      response.destroy();
      refuse(response.statusCode ?? 502);
    });
    upstream.on('error', () => {
      if (!isOpen) refuse(502);
    });
    upstream.on('open', () => {
      isOpen = true;
      this.#sockets.handleUpgrade(request, socket, head, (downstream) => this.#join(name, downstream, upstream));
    });
  }

  #join(node: string, downstream: WebSocket, upstream: WebSocket): void {
    const links = this.#links.get(node) ?? new Set();
    this.#links.set(node, links.add(upstream));
    downstream.on('message', (data) => upstream.send(this.#pass(node, 'node', textOf(data))));
    upstream.on('message', (data) => downstream.send(this.#pass(node, 'edge', textOf(data))));
    downstream.on('error', () => upstream.terminate());
    upstream.on('error', () => downstream.terminate());
    downstream.on('close', (code, reason) => hangUp(upstream, code, reason));
    upstream.on('close', (code, reason) => {
      links.delete(upstream);
      hangUp(downstream, code, reason);
    });
  }

  #pass(node: string, from: Frame['from'], text: string): string {
    if (!text.startsWith('{')) return text;
    const parsed = (from === 'edge' ? edgeFrameSchema : nodeFrameSchema).safeParse(JSON.parse(text));
    if (!parsed.success) return text;
    const frames = this.#frames.get(node) ?? [];
    this.#frames.set(node, frames);
    const before = parsed.data;
    const frame = this.rewrite(before, node);
    frames.push({ from, frame } as Frame);
    if (frames.length > KEPT_FRAMES) frames.shift();
    return frame === before ? text : JSON.stringify(frame);
  }
}

function textOf(data: RawData): string {
  return Buffer.isBuffer(data) ? data.toString() : Buffer.concat(data as Buffer[]).toString();
}

/** Codes that mean "there was none" may not be sent. */
function hangUp(socket: WebSocket, code: number, reason: Buffer): void {
  if (code === 1005 || code === 1006) socket.terminate();
  else socket.close(code, reason);
}
