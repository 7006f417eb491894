/** A WHIP endpoint in front of a node under test, for publishers that insist on HTTP. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Signalling } from './client/signalling.ts';

export class WhipFront {
  readonly url: string;
  readonly #server: Server;

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/whip`;
  }

  /** Every POST is one session by `signalling()`. */
  static async open(signalling: () => Signalling): Promise<WhipFront> {
    const sessions: Signalling[] = [];
    const server = createServer(async (request, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of request) chunks.push(chunk as Buffer);
      try {
        if (request.method === 'DELETE') {
          await sessions[Number(request.url?.split('/').at(-1))]?.close();
          response.writeHead(200).end();
          return;
        }
        const session = signalling();
        const { sdp } = await session.open(Buffer.concat(chunks).toString());
        sessions.push(session);
        const location = `/whip/${sessions.length - 1}`;
        response.writeHead(201, { 'content-type': 'application/sdp', location }).end(sdp);
      } catch (error) {
        response.writeHead(500).end(String(error));
      }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new WhipFront(server);
  }

  async close(): Promise<void> {
    this.#server.close();
    this.#server.closeAllConnections();
    await once(this.#server, 'close');
  }
}
