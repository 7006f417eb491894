/**
 * The Durable Object of one media node: greets it, watches its pings, and passes on what it reports (`reporter.ts`) and what
 * others ask of it (`node-requests.ts`). The machine beside it decides when the node is lost.
 */
import { DurableObject } from 'cloudflare:workers';
import type { Outcome } from '../../shared/errors.ts';
import { type BootId, type NodeId, nodeIdSchema } from '../../shared/ids.ts';
import {
  type Hello,
  type NodeMethod,
  type NodeRequest,
  type NodeResult,
  PING_FRAME,
  PONG_FRAME,
  REQUEST_DEADLINE_MS,
  type Report,
} from '../../shared/protocol/control.ts';
import type { Env } from '../env.ts';
import { credibleHello, credibleReport } from './credible.ts';
import { HelloGate } from './hello-gate.ts';
import { type Attachment, aboutOf, closeQuietly, readAttachment, snapshotOf, writeAttachment } from './link-socket.ts';
import { LinkSockets } from './link-sockets.ts';
import { LinkStore } from './link-store.ts';
import { LobbyTable } from './lobby-table.ts';
import { parseNodeFrame } from './node-frame.ts';
import {
  CLOSE_BUSY,
  CLOSE_POLICY,
  CLOSE_TAKEN,
  CLOSE_TRY_AGAIN,
  type LinkEvent,
  type LinkState,
  objectionTo,
  step,
} from './node-link-machine.ts';
import { NodeRequests } from './node-requests.ts';
import { PendingRequests } from './pending-requests.ts';
import { Reporter } from './reporter.ts';
import type { NodeLinkRpc } from './rpc.ts';
import { Waiters } from './waiters.ts';
import { welcomeFor } from './welcome.ts';

export class NodeLink extends DurableObject<Env> implements NodeLinkRpc {
  #state: LinkState;
  readonly #store: LinkStore;
  readonly #table: LobbyTable;
  readonly #pending = new PendingRequests();
  readonly #reporter: Reporter;
  readonly #waiters = new Waiters();
  readonly #gate = new HelloGate();
  readonly #sockets: LinkSockets;
  readonly #requests: NodeRequests;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair(PING_FRAME, PONG_FRAME));
    this.#sockets = new LinkSockets(ctx);
    this.#store = new LinkStore(ctx.storage);
    this.#table = new LobbyTable(ctx.storage.kv);
    this.#reporter = new Reporter(env, (connection) => this.#resync(connection));
    this.#requests = new NodeRequests({
      sockets: this.#sockets,
      table: this.#table,
      pending: this.#pending,
      waiters: this.#waiters,
      state: () => this.#state,
    });
    this.#state = this.#store.load();
    this.#step({ type: 'woken', connections: this.#sockets.numbers });
    // An object that died while it was greeting a node cannot go on with it: the node dials again.
    const current = this.#sockets.of(this.#state?.connection ?? null);
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
    const connection = this.#sockets.nextNumber(this.#state);
    this.#sockets.makeWay();
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
    return this.#requests.send(request, deadlineMs, boot);
  }

  async announce(input: { node: NodeId; boot: BootId }): Promise<void> {
    const about = this.#sockets.about(this.#state);
    // Being woken for this call, the object has noticed by itself when the link is down; what it has forgotten it says here.
    if (about) this.ctx.waitUntil(this.#reporter.refresh(about, true));
    else if (this.#state?.boot !== input.boot) this.ctx.waitUntil(this.#reporter.gone(input));
    else this.ctx.waitUntil(this.#reporter.unlinked(input));
  }

  override async webSocketMessage(socket: WebSocket, data: string | ArrayBuffer): Promise<void> {
    const attachment = readAttachment(socket);
    if (attachment === null) return closeQuietly(socket, CLOSE_TRY_AGAIN, 'unknown connection');
    if (attachment.connection === this.#state?.connection) this.#sockets.heard();
    // Usually answered by the runtime.
    if (data === PING_FRAME) return socket.send(PONG_FRAME);
    const frame = parseNodeFrame(data);
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
    this.#sockets.closeSpeechless(Date.now());
    this.#step({ type: 'woken', connections: this.#sockets.numbers });
    this.#step({ type: 'tick', heardAt: this.#sockets.heardAt(this.#state) });
    const about = this.#sockets.about(this.#state);
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
    const heardAt = this.#sockets.heardAt(this.#state);
    this.#step({ type: 'hello', connection, node: hello.node, boot: hello.boot, heardAt });
    if (this.#state?.connection !== connection) return refuse(CLOSE_TAKEN, 'another node with this id is linked');
    writeAttachment(socket, linked);
    this.#sockets.heard();
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
    const socket = this.#sockets.of(connection);
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
        const socket = this.#sockets.of(effect.connection);
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

  #schedule(): void {
    this.#store.wakeAt(this.#sockets.nextLook(this.#state, Date.now()));
  }
}
