/**
 * The Durable Object of one media node: holds its WebSocket (hibernatable), correlates requests, watches the pings and
 * carries reports to the lobbies and the fleet. The machine beside it decides when the node is lost.
 */
import { DurableObject } from 'cloudflare:workers';
import { failed, type Outcome, succeeded } from '../../shared/errors.ts';
import { type BootId, type NodeId, nodeIdSchema } from '../../shared/ids.ts';
import {
  type Hello,
  type NodeMethod,
  type NodeRequest,
  type NodeResult,
  nodeFrameSchema,
  PING_FRAME,
  PONG_FRAME,
  REQUEST_DEADLINE_MS,
  type Report,
  resultSchemas,
} from '../../shared/protocol/control.ts';
import type { Env } from '../env.ts';
import type { NodeLinkRpc } from '../rpc.ts';
import { credibleHello, credibleReport } from './credible.ts';
import { HelloGate, MAX_GREETING } from './hello-gate.ts';
import { type Attachment, aboutOf, closeQuietly, readAttachment, snapshotOf, writeAttachment } from './link-socket.ts';
import { LinkStore } from './link-store.ts';
import { LobbyTable } from './lobby-table.ts';
import {
  CLOSE_BUSY,
  CLOSE_POLICY,
  CLOSE_TAKEN,
  CLOSE_TRY_AGAIN,
  type LinkEvent,
  type LinkState,
  mayBeLinked,
  nextTick,
  objectionTo,
  step,
} from './node-link-machine.ts';
import { NODE_TIMEOUT, NODE_TOO_OLD, NODE_UNREACHABLE, PendingRequests, SESSION_LOST } from './pending-requests.ts';
import { Reporter } from './reporter.ts';
import { begins, ends, protocolOf } from './request-kinds.ts';
import { Waiters } from './waiters.ts';
import { welcomeFor } from './welcome.ts';

/** A caller waits this long for a node that is just dialling again. */
const RELINK_WAIT_MS = 3_000;
/** A connection that has not said hello by then is closed. */
const HELLO_DEADLINE_MS = 5_000;

export class NodeLink extends DurableObject<Env> implements NodeLinkRpc {
  #state: LinkState;
  readonly #store: LinkStore;
  readonly #table: LobbyTable;
  readonly #pending = new PendingRequests();
  readonly #reporter: Reporter;
  readonly #waiters = new Waiters();
  readonly #gate = new HelloGate();
  /** Unix ms of the last frame on the link; pings are answered by the runtime and asked for separately. */
  #frameAt = 0;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING_FRAME, PONG_FRAME));
    this.#store = new LinkStore(ctx.storage);
    this.#table = new LobbyTable(ctx.storage.kv);
    this.#reporter = new Reporter(env, (connection) => this.#resync(connection));
    this.#state = this.#store.load();
    this.#step({ type: 'woken', connections: this.#connections() });
    // An object that died while it was greeting a node cannot go on with it: the node dials again.
    const current = this.#socketOf(this.#state?.connection ?? null);
    if (current && readAttachment(current)?.stage === 'linked') {
      this.#closed(current);
      closeQuietly(current, CLOSE_TRY_AGAIN, 'try again');
    }
    // The alarm of the previous instance is still set: it comes soon and sets the next. Setting it here would cancel the
    // very alarm that may have woken this instance.
  }

  /** `GET /node/link`, already authorised by the Worker. */
  override async fetch(request: Request): Promise<Response> {
    if (request.headers.get('upgrade')?.toLowerCase() !== 'websocket') {
      return new Response('expected a WebSocket upgrade\n', { status: 426, headers: { Upgrade: 'websocket' } });
    }
    const node = nodeIdSchema.safeParse(request.headers.get('vestibule-node'));
    if (!node.success) return new Response('Vestibule-Node does not name a node\n', { status: 400 });
    const { 0: client, 1: server } = new WebSocketPair();
    const connection = Math.max(Date.now(), 1 + Math.max(this.#state?.connection ?? 0, ...this.#connections()));
    this.#makeWay();
    this.ctx.acceptWebSocket(server);
    writeAttachment(server, { connection, since: Date.now(), node: node.data, stage: 'greeting', about: null });
    this.#schedule();
    return new Response(null, { status: 101, webSocket: client });
  }

  async request<M extends NodeMethod>(
    request: Extract<NodeRequest, { method: M }>,
    deadlineMs: number = REQUEST_DEADLINE_MS,
    boot?: BootId,
  ): Promise<Outcome<NodeResult<M>>> {
    const asked: NodeRequest = request;
    const endsAt = Date.now() + deadlineMs;
    // Before it is sent, so that the node's hello after a crash finds its lobby again.
    const begun = begins(asked);
    const isNew = begun !== null && this.#table.revisionOf(begun.lobby) === null;
    if (begun !== null) this.#table.remember(begun.lobby, begun.revision);
    const socket = await this.#readySocket(Math.min(deadlineMs, RELINK_WAIT_MS));
    const reached = socket !== null && (boot === undefined || this.#state?.boot === boot);
    const isTooOld = reached && (readAttachment(socket)?.about?.protocol ?? 0) < protocolOf(asked.method);
    const outcome = !reached
      ? failed(NODE_UNREACHABLE)
      : isTooOld
        ? failed(NODE_TOO_OLD)
        : await this.#pending.send(socket, asked, Math.max(1, endsAt - Date.now()));
    if (!outcome.ok) {
      const { code } = outcome.problem;
      const maybeOpened = reached && (code === NODE_TIMEOUT.code || code === NODE_UNREACHABLE.code);
      if (begun !== null && isNew && !maybeOpened) this.#table.forget(begun.lobby, begun.revision);
      // Also when it was given up while the answer was awaited.
      return code === NODE_UNREACHABLE.code && this.#hasLost(asked) ? failed(SESSION_LOST) : outcome;
    }
    const ended = ends(asked);
    if (ended !== null) this.#table.forget(ended.lobby, ended.revision);
    const result = resultSchemas[request.method].safeParse(outcome.value);
    if (result.success) return succeeded(result.data as NodeResult<M>);
    const detail = 'the media node gave an answer that was not understood';
    return failed({ status: 502, code: 'node_error', detail });
  }

  async announce(input: { node: NodeId; boot: BootId }): Promise<void> {
    const socket = this.#socketOf(this.#state?.connection ?? null);
    const about = socket === null ? null : readAttachment(socket)?.about;
    // Being woken for this call, the object has noticed by itself when the link is down; what it has forgotten it says here.
    if (about) this.ctx.waitUntil(this.#reporter.refresh(about, true));
    else if (this.#state?.boot !== input.boot) this.ctx.waitUntil(this.#reporter.gone(input));
    else this.ctx.waitUntil(this.#reporter.unlinked(input));
  }

  override async webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    const attachment = readAttachment(socket);
    if (attachment === null) return closeQuietly(socket, CLOSE_TRY_AGAIN, 'unknown connection');
    if (attachment.connection === this.#state?.connection) this.#frameAt = Date.now();
    // Usually answered by the runtime.
    if (data === PING_FRAME) return socket.send(PONG_FRAME);
    const frame = parseFrame(data);
    if (attachment.stage === 'greeting') {
      if (frame?.type === 'hello') return this.#greet(socket, attachment, frame);
      return closeQuietly(socket, CLOSE_POLICY, 'hello expected');
    }
    // What does not fit is dropped; so is what a replaced connection still says.
    if (attachment.connection !== this.#state?.connection) return;
    if (frame === null) {
      this.#gate.complain(`node ${attachment.node}: a frame that fits nothing was dropped`, Date.now());
      return;
    }
    switch (frame.type) {
      case 'hello':
        this.#closed(socket);
        return closeQuietly(socket, CLOSE_POLICY, 'duplicate hello');
      case 'response':
        return this.#pending.answer(frame);
      case 'report':
        return this.#reported(socket, attachment, frame);
    }
  }

  override async webSocketClose(socket: WebSocket, code: number): Promise<void> {
    // Without an explicit close the peer never sees the end of the handshake.
    closeQuietly(socket, code, '');
    this.#closed(socket);
  }

  override async webSocketError(socket: WebSocket): Promise<void> {
    closeQuietly(socket, CLOSE_TRY_AGAIN, 'connection error');
    this.#closed(socket);
  }

  override async alarm(): Promise<void> {
    this.#store.alarmIsOver();
    const now = Date.now();
    for (const socket of this.ctx.getWebSockets()) {
      const attachment = readAttachment(socket);
      if (attachment?.stage === 'greeting' && attachment.since + HELLO_DEADLINE_MS <= now) {
        closeQuietly(socket, CLOSE_POLICY, 'no hello');
      }
    }
    this.#step({ type: 'woken', connections: this.#connections() });
    this.#step({ type: 'tick', heardAt: this.#heardAt() });
    const current = this.#socketOf(this.#state?.connection ?? null);
    const about = current === null ? null : readAttachment(current)?.about;
    // The fleet does not give work to a node that it has not heard of for long.
    if (about) this.#reporter.refresh(about);
    if (this.#state?.gone === true) await this.#tellLobbies();
    this.#schedule();
  }

  /** What is said is checked, kept and carried on. */
  async #reported(socket: WebSocket, attachment: Attachment, frame: Report): Promise<void> {
    if (attachment.about === null) return;
    const { said, complaints } = credibleReport(frame);
    this.#complain(attachment.node, complaints);
    const draining = said.draining ?? false;
    const isNews = draining !== attachment.about.draining;
    const about = isNews ? { ...attachment.about, draining } : attachment.about;
    if (isNews) writeAttachment(socket, { ...attachment, about });
    await this.#reporter.report(attachment.connection, about, said, isNews ? this.#table.lobbies : []);
  }

  #complain(node: NodeId, complaints: readonly string[]): void {
    if (complaints.length === 0) return;
    this.#gate.complain(`node ${node} says what cannot be, and was corrected: ${complaints.join(', ')}`, Date.now());
  }

  async #greet(socket: WebSocket, attachment: Attachment, claimed: Hello): Promise<void> {
    const now = Date.now();
    const refuse = (code: number, reason: string) => {
      this.#gate.complain(`a link for node ${attachment.node} was refused: ${reason}`, now);
      closeQuietly(socket, code, reason);
    };
    if (!this.#gate.admits(claimed.boot === this.#state?.boot, now)) return refuse(CLOSE_BUSY, 'too many hellos');
    const objection = objectionTo(claimed, attachment.node);
    if (objection !== null) return refuse(CLOSE_POLICY, objection);
    const { said: hello, complaints } = credibleHello(claimed);
    this.#complain(attachment.node, complaints);
    const { connection } = attachment;
    const linked: Attachment = { ...attachment, stage: 'linked', since: now, about: aboutOf(hello) };
    const heardAt = this.#heardAt();
    this.#step({ type: 'hello', connection, node: hello.node, boot: hello.boot, heardAt });
    if (this.#state?.connection !== connection) return refuse(CLOSE_TAKEN, 'another node with this id is linked');
    writeAttachment(socket, linked);
    this.#frameAt = now;
    this.#schedule();
    try {
      const [frame] = await Promise.all([
        welcomeFor(hello, this.#table, this.#reporter),
        this.#reporter.introduce(snapshotOf(aboutOf(hello), hello.load, Date.now()), hello.lobbies),
      ]);
      // Replaced or closed while the lobbies were asked.
      if (this.#state?.connection !== connection) return;
      socket.send(JSON.stringify(frame));
      writeAttachment(socket, { ...linked, stage: 'ready' });
      this.#waiters.wakeAll();
      if (hello.draining === true) await this.#reporter.drains(connection, aboutOf(hello), this.#table.lobbies);
    } catch (error) {
      console.error('a node could not be welcomed', error);
      this.#closed(socket);
      closeQuietly(socket, CLOSE_TRY_AGAIN, 'try again');
    }
  }

  /** A report could not be delivered: the node's next hello says it all again. */
  #resync(connection: number): void {
    const socket = this.#socketOf(connection);
    if (socket === null) return;
    this.#closed(socket);
    closeQuietly(socket, CLOSE_TRY_AGAIN, 'resync');
  }

  #closed(socket: WebSocket): void {
    this.#pending.failAll(socket);
    const attachment = readAttachment(socket);
    if (attachment === null) return;
    this.#step({ type: 'closed', connection: attachment.connection });
    this.#schedule();
  }

  #step(event: LinkEvent): void {
    const before = this.#state;
    const { state, effects } = step(before, event, Date.now());
    this.#state = state;
    if (state !== before) this.#save(state);
    for (const effect of effects) {
      if (effect.type === 'drop') {
        const socket = this.#socketOf(effect.connection);
        if (socket === null) continue;
        this.#pending.failAll(socket);
        closeQuietly(socket, effect.code, effect.reason);
      } else if (effect.type === 'unlinked') {
        this.ctx.waitUntil(this.#reporter.unlinked(effect));
      } else {
        // Nobody needs to wait for it any longer.
        this.#waiters.wakeAll();
        this.ctx.waitUntil(this.#reporter.gone(effect));
      }
    }
  }

  #save(state: LinkState): void {
    if (state !== null) this.#store.save(state);
    else if (this.#table.lobbies.length > 0 || this.ctx.getWebSockets().length > 0) this.#store.forget();
    else this.#store.clear();
  }

  /** The node is gone: every lobby that had something there hears so, and is told again when that fails. */
  async #tellLobbies(): Promise<void> {
    const gone = this.#state;
    if (gone === null) return;
    const told = this.#table.lobbies.map(async (lobby) => {
      const revision = this.#table.revisionOf(lobby) ?? 0;
      await this.#reporter.lost(lobby, gone.node, gone.boot);
      // Unless it came back while we were talking: then its hello decides.
      if (this.#state?.gone === true) this.#table.forget(lobby, revision);
    });
    await Promise.allSettled(told);
    if (this.#table.lobbies.length === 0) this.#step({ type: 'forgotten' });
  }

  /** The node has not come back in time, so a client who asks for its session need not wait to make another. */
  #hasLost({ method }: NodeRequest): boolean {
    return (method === 'probe' || method === 'patch') && !mayBeLinked(this.#state, Date.now());
  }

  async #readySocket(waitMs: number): Promise<WebSocket | null> {
    const find = () => {
      const socket = this.#socketOf(this.#state?.connection ?? null);
      return socket !== null && readAttachment(socket)?.stage === 'ready' ? socket : null;
    };
    const ready = find();
    if (ready !== null || !mayBeLinked(this.#state, Date.now())) return ready;
    await this.#waiters.wait(waitMs);
    return find();
  }

  /** However many dial and say nothing, there is room for one who does. */
  #makeWay(): void {
    const greeting = this.ctx.getWebSockets().filter((socket) => readAttachment(socket)?.stage === 'greeting');
    for (const socket of greeting.slice(MAX_GREETING - 1)) closeQuietly(socket, CLOSE_BUSY, 'too many connections');
  }

  #connections(): number[] {
    return this.ctx.getWebSockets().map((socket) => readAttachment(socket)?.connection ?? 0);
  }

  #socketOf(connection: number | null): WebSocket | null {
    if (connection === null) return null;
    const sockets = this.ctx.getWebSockets();
    return sockets.find((socket) => readAttachment(socket)?.connection === connection) ?? null;
  }

  /** Unix ms of the last sign of life on the link; null without a link. */
  #heardAt(): number | null {
    const socket = this.#socketOf(this.#state?.connection ?? null);
    if (socket === null) return null;
    const pingAt = this.ctx.getWebSocketAutoResponseTimestamp(socket)?.getTime() ?? 0;
    return Math.max(pingAt, this.#frameAt, readAttachment(socket)?.since ?? 0);
  }

  #schedule(): void {
    const now = Date.now();
    const greeting = this.ctx
      .getWebSockets()
      .map(readAttachment)
      .filter((attachment) => attachment?.stage === 'greeting');
    const ticks = greeting.map((attachment) => (attachment?.since ?? now) + HELLO_DEADLINE_MS);
    const tick = nextTick(this.#state, this.#heardAt(), now);
    if (tick !== null) ticks.push(tick);
    this.#store.wakeAt(ticks.length === 0 ? null : Math.max(now, Math.min(...ticks)));
  }
}

function parseFrame(data: string | ArrayBuffer) {
  if (typeof data !== 'string') return null;
  try {
    return nodeFrameSchema.safeParse(JSON.parse(data)).data ?? null;
  } catch {
    return null;
  }
}
