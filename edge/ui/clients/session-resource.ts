/** The HTTP side of one WHIP/WHEP session: the POST that makes it and the resource that PATCH, GET and DELETE address. */
import { ClientError } from './errors.ts';
import { iceServersFromLinks, type Link, parseLinkHeader } from './link-header.ts';

const SDP_TYPE = 'application/sdp';
const FRAGMENT_TYPE = 'application/trickle-ice-sdpfrag';
/** Servers answer within 5 s (ours) to 8 s (the longest that common encoders wait). */
const REQUEST_TIMEOUT_MS = 10_000;

export interface EndpointOptions {
  /** The WHIP or WHEP endpoint. */
  url: string | URL;
  /** Sent as `Authorization: Bearer`; empty or absent: none. */
  token?: string | undefined;
  /** `include`: cookies go to and are taken from another origin, too. Default `same-origin`, as in `fetch`. */
  credentials?: RequestCredentials | undefined;
  /** URL of an own session whose place the new one shall take: the server would refuse a second publisher. */
  replaces?: string | undefined;
  /** Sends the POST in place of `sendRequest`. */
  send?: Send | undefined;
}

const LAYER_RELATION = 'urn:ietf:params:whep:ext:core:layer';

/** A `fetch` with a time limit that throws `ClientError` and nothing else. */
export type Send = (url: string, init: RequestInit) => Promise<Response>;

/** What every request of a session carries. */
interface Common {
  headers: Record<string, string>;
  credentials?: RequestCredentials;
}

export class SessionResource {
  /** Absolute URL of the session. */
  readonly url: string;
  /** The body of the 201: the answer to our offer, or the server's offer when we sent none. */
  readonly description: string;
  readonly links: readonly Link[];
  readonly iceServers: RTCIceServer[];
  /** `X-Req-Token` of a lobby's 201; null elsewhere. */
  readonly requestToken: string | null;
  readonly #common: Common;
  #etag: string | null;

  private constructor(url: string, description: string, response: Response, common: Common) {
    this.url = url;
    this.description = description;
    this.requestToken = response.headers.get('x-req-token');
    this.links = parseLinkHeader(response.headers.get('link'));
    this.iceServers = iceServersFromLinks(this.links);
    this.#etag = response.headers.get('etag');
    this.#common = common;
  }

  /** Posts an offer; an empty one asks the server for its own. Throws `ClientError` for every answer but a 2xx with an SDP body and a `Location`. */
  static async create(endpoint: EndpointOptions, offer: string): Promise<SessionResource> {
    const headers: Record<string, string> = endpoint.token ? { Authorization: `Bearer ${endpoint.token}` } : {};
    const common = { headers, ...(endpoint.credentials === undefined ? {} : { credentials: endpoint.credentials }) };
    const response = await (endpoint.send ?? sendRequest)(String(endpoint.url), {
      ...common,
      method: 'POST',
      headers: {
        ...headers,
        'Content-Type': SDP_TYPE,
        Accept: SDP_TYPE,
        ...(endpoint.replaces === undefined ? {} : { 'Vestibule-Replaces': endpoint.replaces }),
      },
      body: offer,
    });
    if (!response.ok) throw await ClientError.fromResponse(response);
    const description = await response.text();
    const location = response.headers.get('location');
    if (location === null || !description.startsWith('v=0')) {
      throw new ClientError('The server sent no usable description; is this a WHIP or WHEP address?', {
        status: response.status,
        code: 'bad_answer',
      });
    }
    // After a redirect (307 to another host) a relative Location belongs to the host that answered.
    return new SessionResource(new URL(location, response.url).href, description, response, common);
  }

  /** Sends candidates of the running ICE session. Throws `ClientError`; 405, 422 and 501 mean that trickle is not known here. */
  async trickle(fragment: string): Promise<void> {
    const response = await this.#patch(fragment, this.#etag);
    if (!response.ok) throw await ClientError.fromResponse(response);
  }

  /** Restarts ICE with new credentials (`If-Match: *`, RFC 9725 §4.3.3); resolves to the server's fragment. */
  async restart(fragment: string): Promise<string> {
    const response = await this.#patch(fragment, '*');
    if (!response.ok) throw await ClientError.fromResponse(response);
    this.#etag = response.headers.get('etag') ?? this.#etag;
    return response.text();
  }

  /** Status of GET on the session: 404 when the server has forgotten it. Throws when it cannot be reached. */
  async probe(): Promise<number> {
    const response = await sendRequest(this.url, { ...this.#common, method: 'GET', cache: 'no-store' });
    await response.body?.cancel();
    return response.status;
  }

  /**
   * Asks for a layer; null: automatic. Throws `ClientError`; `unsupported` when the server lets nobody choose.
   * @param layer the JSON object of WHEP's layer extension
   */
  async setLayer(layer: object | null): Promise<void> {
    const link = this.links.find(({ params }) => params.rel === LAYER_RELATION);
    if (link === undefined) throw new ClientError('This server has no layers to choose from', { code: 'unsupported' });
    const { headers } = this.#common;
    const response = await sendRequest(new URL(link.uri, this.url).href, {
      ...this.#common,
      ...(layer === null
        ? { method: 'DELETE' }
        : {
            method: 'POST',
            headers: { ...headers, 'Content-Type': 'application/json' },
            body: JSON.stringify(layer),
          }),
    });
    if (!response.ok) throw await ClientError.fromResponse(response);
    await response.body?.cancel();
  }

  /** Ends the session. Never throws: there is nobody left to tell. Outlives the page that calls it (`keepalive`). */
  async delete(): Promise<void> {
    await sendRequest(this.url, { ...this.#common, method: 'DELETE', keepalive: true }).catch(() => undefined);
  }

  #patch(fragment: string, ifMatch: string | null): Promise<Response> {
    const headers: Record<string, string> = { ...this.#common.headers, 'Content-Type': FRAGMENT_TYPE };
    if (ifMatch !== null) headers['If-Match'] = ifMatch;
    return sendRequest(this.url, { ...this.#common, method: 'PATCH', headers, body: fragment });
  }
}

/** Throws `ClientError` (`network`, `timeout`); whatever the server answers is returned. */
export async function sendRequest(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, { ...init, signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
  } catch (thrown) {
    throw ClientError.fromUnknown(thrown);
  }
}
