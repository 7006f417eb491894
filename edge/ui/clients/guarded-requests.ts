/**
 * Requests of a lobby's member: the cookie `session.id` says which session, `X-Req-Token` that the request is new. Every
 * request that passes the guard uses its token up and brings the next one, so they go strictly one after another.
 */
import { type Send, sendRequest } from './session-resource.ts';

export class GuardedRequests {
  readonly #send: Send;
  #token: string;
  #last: Promise<unknown> = Promise.resolve();

  /** `token`: of the 201 that made the session. */
  constructor(token: string, send: Send = sendRequest) {
    this.#token = token;
    this.#send = send;
  }

  /** Throws `ClientError` when no answer comes; the token may then be lost with it. */
  readonly send: Send = (url, init) => {
    const response = this.#last.then(() => this.#pass(url, init));
    this.#last = response.catch(() => undefined);
    return response;
  };

  async #pass(url: string, init: RequestInit): Promise<Response> {
    const headers = new Headers(init.headers);
    headers.set('X-Req-Token', this.#token);
    const response = await this.#send(url, { ...init, headers, credentials: 'include' });
    // On refusals of the request itself, too: the guard had been passed by then.
    this.#token = response.headers.get('x-req-token') ?? this.#token;
    return response;
  }
}
