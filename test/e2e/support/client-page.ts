/** A page of another origin with the scripts of `in-page/`: what works here works on anybody's site. */
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { BrowserContext, Page } from 'playwright-core';
import { browserScript } from '../../support/browser-script.ts';

const HTML =
  '<!doctype html><meta charset="utf-8"><title>client</title><video autoplay muted playsinline></video><script src="/clients.js"></script>';

export interface ClientSite extends AsyncDisposable {
  readonly origin: string;
  /** A page whose last made connection is `globalThis.connection`, whoever made it. */
  open(context: BrowserContext): Promise<Page>;
  close(): Promise<void>;
}

export async function openClientSite(): Promise<ClientSite> {
  const script = await browserScript('test/e2e/in-page/third-party.ts');
  const server = createServer((request, response) => {
    const isScript = request.url === '/clients.js';
    response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' });
    response.end(isScript ? script : HTML);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const close = async (): Promise<void> => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return {
    origin,
    async open(context) {
      const page = await context.newPage();
      await page.addInitScript(() => {
        const Native = globalThis.RTCPeerConnection;
        globalThis.RTCPeerConnection = class extends Native {
          constructor(configuration?: RTCConfiguration) {
            super(configuration);
            globalThis.connection = this;
          }
        };
      });
      await page.goto(origin);
      return page;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}
