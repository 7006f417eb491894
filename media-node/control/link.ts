/**
 * The node's end of the control link: dials the edge, says what it carries, answers requests, reports changes, and dials
 * again when the link is lost. It knows frames and time-outs; what the frames mean is the handler's business.
 */
import { WebSocket } from 'ws';
import { type Problem, ProblemError } from '../../shared/errors.ts';
import type { NodeId } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
  type EdgeFrame,
  edgeFrameSchema,
  type Hello,
  LINK_SILENCE_MS,
  type NodeFrame,
  type NodeRequest,
  PING_FRAME,
  PING_INTERVAL_MS,
  PONG_FRAME,
  type Report,
  type RequestFrame,
  type Welcome,
} from '../../shared/protocol/control.ts';
import { backoffMs } from './backoff.ts';
import { TurnSlices } from './turn-slices.ts';

const DIAL_TIMEOUT_MS = 5_000;
/** workerd may refuse a link and not see to its end: of 60 at once every third stayed half closed. `ws` waits 30 s. */
const CLOSE_TIMEOUT_MS = 2_000;
const REDIAL_BASE_MS = 200;
const REDIAL_MAX_MS = 3_000;
/**
 * Frames beyond this are not ours. The edge's largest is a welcome, some 200 bytes for each room: a node that could not
 * read it would dial again for ever. Durable Objects take as much in one message.
 */
const MAX_FRAME_BYTES = 32 * 1024 * 1024;

export interface LinkHandler {
  /** The full report, made anew for every dial. */
  hello(): Hello;
  welcome(welcome: Welcome): void;
  /** The method's result, or a promise of it; throws or rejects with a `ProblemError` for a refusal. */
  request(request: NodeRequest): unknown;
}

export interface LinkOptions {
  edgeUrl: string;
  token: string;
  node: NodeId;
  handler: LinkHandler;
  log(message: string): void;
  /** `PING_INTERVAL_MS` and `LINK_SILENCE_MS` unless a test is in a hurry. */
  pingIntervalMs?: number;
  silenceMs?: number;
}

export class ControlLink {
  readonly #options: LinkOptions;
  #socket: WebSocket | null = null;
  #welcomed = false;
  #attempt = 0;
  #heardAtMs = 0;
  #pingTimer: NodeJS.Timeout | null = null;
  /** Of the present socket. */
  readonly #frames = new TurnSlices<string>((text) => this.#receive(text));
  #redialTimer: NodeJS.Timeout | null = null;
  #closed = false;
  #lastComplaint = '';

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#dial();
  }

  /** True between the edge's welcome and the loss of the link. */
  get linked(): boolean {
    return this.#welcomed;
  }

  /** False while there is no link, or none that was welcomed yet. */
  report(report: Report): boolean {
    if (this.#welcomed) this.#send(report);
    return this.#welcomed;
  }

  close(): void {
    this.#closed = true;
    if (this.#redialTimer !== null) clearTimeout(this.#redialTimer);
    this.#socket?.close(1000, 'node stops');
    this.#forget();
  }

  #dial(): void {
    if (this.#closed) return;
    const url = new URL('/node/link', this.#options.edgeUrl);
    url.protocol = url.protocol === 'https:' || url.protocol === 'wss:' ? 'wss:' : 'ws:';
    const options = {
      headers: { authorization: `Bearer ${this.#options.token}`, 'vestibule-node': this.#options.node },
      handshakeTimeout: DIAL_TIMEOUT_MS,
      closeTimeout: CLOSE_TIMEOUT_MS,
      maxPayload: MAX_FRAME_BYTES,
      perMessageDeflate: false,
    };
    const socket = new WebSocket(url, options);
    this.#socket = socket;
    socket.on('open', () => {
      this.#heardAtMs = performance.now();
      this.#send(this.#options.handler.hello());
      this.#pingTimer = setInterval(() => this.#ping(socket), this.#options.pingIntervalMs ?? PING_INTERVAL_MS);
    });
    socket.on('message', (data, isBinary) => {
      if (socket !== this.#socket || isBinary) return;
      this.#heardAtMs = performance.now();
      this.#frames.push(data.toString());
    });
    socket.on('unexpected-response', (request, response) => {
      this.#complain(`the edge refused the link: HTTP ${response.statusCode} (${refusalHint(response.statusCode)})`);
      request.destroy();
      this.#lost(socket);
    });
    socket.on('error', (error) => this.#complain(`cannot reach the edge at ${url.host}: ${error.message}`));
    socket.on('close', (code, reason) => {
      const why = `${code} ${reason.toString()}`.trimEnd();
      if (this.#welcomed) this.#complain(`link to the edge lost (${why}); media goes on`);
      else if (code !== 1006) this.#complain(`the edge closed the link: ${why}`);
      this.#lost(socket);
    });
  }

  #receive(text: string): void {
    if (text === PONG_FRAME) return;
    const frame = parseFrame(text);
    if (frame === null) {
      this.#complain('dropped a frame from the edge that does not fit the control protocol');
      return;
    }
    if (frame.type === 'welcome') this.#receiveWelcome(frame);
    else this.#receiveRequest(frame);
  }

  #receiveWelcome(welcome: Welcome): void {
    if (Math.abs(welcome.protocol - CONTROL_PROTOCOL_VERSION) > 1) {
      this.#complain(`the edge speaks control protocol ${welcome.protocol}, this node ${CONTROL_PROTOCOL_VERSION}`);
      this.#socket?.close(1008, 'protocol version');
      return;
    }
    this.#options.handler.welcome(welcome);
    this.#welcomed = true;
    this.#attempt = 0;
    this.#lastComplaint = '';
    this.#options.log('linked to the edge');
  }

  #receiveRequest(frame: RequestFrame): void {
    const socket = this.#socket;
    const respond = (outcome: { ok: true; value: unknown } | { ok: false; problem: Problem }): void => {
      // A response belongs to the link that asked: on another one its id could name another request.
      if (socket === this.#socket) this.#send({ type: 'response', id: frame.id, outcome });
    };
    const refuse = (error: unknown): void => {
      if (error instanceof ProblemError) {
        respond({ ok: false, problem: error.toProblem() });
        return;
      }
      this.#options.log(`request ${frame.request.method} failed: ${error instanceof Error ? error.stack : error}`);
      respond({ ok: false, problem: { status: 500, code: 'node_error', detail: 'the media node failed' } });
    };
    try {
      const result = this.#options.handler.request(frame.request);
      // What is there at once is answered at once, in the order of the requests.
      if (!(result instanceof Promise)) respond({ ok: true, value: result });
      else within(frame.deadlineMs, result).then((value) => respond({ ok: true, value }), refuse);
    } catch (error) {
      refuse(error);
    }
  }

  #ping(socket: WebSocket): void {
    // The other half of the edge's check: a link on which nothing is heard is dead, whatever TCP says.
    if (performance.now() - this.#heardAtMs > (this.#options.silenceMs ?? LINK_SILENCE_MS)) {
      this.#complain('the edge is silent; dialling again');
      socket.terminate();
      this.#lost(socket);
      return;
    }
    if (socket.readyState === WebSocket.OPEN) socket.send(PING_FRAME);
  }

  #send(frame: NodeFrame): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame));
  }

  #lost(socket: WebSocket): void {
    if (socket !== this.#socket) return;
    this.#forget();
    if (this.#closed) return;
    const delayMs = backoffMs(this.#attempt, Math.random(), REDIAL_BASE_MS, REDIAL_MAX_MS);
    this.#attempt += 1;
    this.#redialTimer = setTimeout(() => this.#dial(), delayMs);
  }

  #forget(): void {
    this.#socket = null;
    this.#frames.clear();
    this.#welcomed = false;
    if (this.#pingTimer !== null) clearInterval(this.#pingTimer);
    this.#pingTimer = null;
  }

  /** Says a thing once, not at each of a hundred attempts. */
  #complain(message: string): void {
    if (message === this.#lastComplaint || this.#closed) return;
    this.#lastComplaint = message;
    this.#options.log(message);
  }
}

/** As `result`, or a refusal when it takes longer than anybody waits for it. */
async function within(ms: number, result: Promise<unknown>): Promise<unknown> {
  const late = Promise.withResolvers<never>();
  const problem = new ProblemError(504, 'node_timeout', 'the media node did not answer in time');
  const timer = setTimeout(() => late.reject(problem), ms);
  try {
    return await Promise.race([result, late.promise]);
  } finally {
    clearTimeout(timer);
  }
}

function parseFrame(text: string): EdgeFrame | null {
  try {
    const parsed = edgeFrameSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null;
  }
}

function refusalHint(status: number | undefined): string {
  if (status === 401 || status === 403) return 'check NODE_TOKEN: it must be the same at the edge and at the node';
  if (status === 404 || status === 426) return 'check EDGE_URL: is it a Vestibule edge?';
  return 'see the edge log';
}
