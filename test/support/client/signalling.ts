/** How a client's descriptions reach the server: WHIP/WHEP over HTTP, or anything else that a test puts in between. */

export interface Opened {
  /** The server's answer. */
  sdp: string;
  etag: string;
}

export interface Signalling {
  /** Opens a session with an offer. @throws SignallingError */
  open(offer: string): Promise<Opened>;
  /** An ICE restart: our fragment, the server's fragment and new entity-tag. @throws SignallingError */
  restart(fragment: string, etag: string): Promise<{ fragment: string; etag: string }>;
  /** Ends the session. @throws SignallingError */
  close(): Promise<void>;
}

export class SignallingError extends Error {
  readonly status: number;
  readonly body: string;

  constructor(status: number, body: string) {
    super(`signalling failed with ${status}: ${body}`);
    this.name = 'SignallingError';
    this.status = status;
    this.body = body;
  }
}

/** WHIP or WHEP at `url`, with a bearer token if there is one, and more header fields in all requests. */
export function httpSignalling(
  url: string,
  token?: string,
  more: Readonly<Record<string, string>> = {},
): Signalling & { readonly resource: string | null } {
  const authorization: Record<string, string> = {
    ...more,
    ...(token === undefined ? {} : { Authorization: `Bearer ${token}` }),
  };
  let resource: string | null = null;
  const send = async (target: string, init: RequestInit, expected: number): Promise<Response> => {
    const response = await fetch(target, init);
    if (response.status !== expected) throw new SignallingError(response.status, await response.text());
    return response;
  };
  const opened = (): string => {
    if (resource === null) throw new Error('there is no session resource yet');
    return resource;
  };
  return {
    get resource() {
      return resource;
    },
    async open(offer) {
      const headers = { ...authorization, 'Content-Type': 'application/sdp' };
      const response = await send(url, { method: 'POST', headers, body: offer }, 201);
      resource = new URL(response.headers.get('Location') ?? '', url).href;
      return { sdp: await response.text(), etag: response.headers.get('ETag') ?? '' };
    },
    async restart(fragment, etag) {
      const headers = { ...authorization, 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': etag };
      const response = await send(opened(), { method: 'PATCH', headers, body: fragment }, 200);
      return { fragment: await response.text(), etag: response.headers.get('ETag') ?? '' };
    },
    async close() {
      const response = await send(opened(), { method: 'DELETE', headers: authorization }, 200);
      await response.body?.cancel();
    },
  };
}

/** Where to publish or play. */
export type Target = { url: string; token?: string } | { signalling: Signalling };

export function signallingOf(target: Target): Signalling {
  return 'signalling' in target ? target.signalling : httpSignalling(target.url, target.token);
}
