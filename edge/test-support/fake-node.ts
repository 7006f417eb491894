/**
 * A media node without media: dials the worker's real `/node/link`, speaks the real control protocol over the real
 * WebSocket, and keeps a small model of sessions so that its answers hang together. Any method can be scripted.
 */
import { type Problem, ProblemError } from '../../shared/errors.ts';
import { type BootId, type LobbyId, mintBootId, type NodeId, type SessionId } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
  type Coordinates,
  edgeFrameSchema,
  type Hello,
  type IngressReport,
  type LobbyLoad,
  type NodeFrame,
  type NodeMethod,
  type NodeRequest,
  type NodeResult,
  PING_FRAME,
  PING_INTERVAL_MS,
  PONG_FRAME,
  type RelayReport,
  type Report,
  type RequestFrame,
  resultSchemas,
  type Welcome,
} from '../../shared/protocol/control.ts';
import { TEST_NODE_TOKEN } from './bindings.ts';
import { FakeSessions, type FakeViewer } from './fake-sessions.ts';
import { callWorker } from './worker.ts';

type RequestOf<M extends NodeMethod> = Extract<NodeRequest, { method: M }>;
/** Returns the result, throws a `ProblemError` to refuse, or never settles to stay silent. */
export type Script<M extends NodeMethod> = (request: RequestOf<M>) => NodeResult<M> | Promise<NodeResult<M>>;

const DEFAULT_WAIT_MS = 20_000;
export interface DialOptions {
  node?: string;
  /** A node that redials keeps its boot id; a restarted one has a new one. */
  boot?: BootId;
  token?: string;
  region?: string;
  coordinates?: Coordinates;
  protocol?: number;
  capacity?: number;
  /** What it carries already, for a redial. */
  ingress?: IngressReport[];
  lobbies?: LobbyLoad[];
  /** False: send no hello (the caller does). */
  hello?: boolean;
  /** False: go dark once hello is said. Real nodes ping, and so a test may last for longer than silence may. */
  pings?: boolean;
}

export class FakeNode {
  readonly node: NodeId;
  readonly boot: BootId;
  /** What it carries. */
  readonly sessions: FakeSessions;
  /** Every request that came, oldest first. */
  readonly requests: NodeRequest[] = [];
  readonly welcomes: Welcome[] = [];
  readonly pongs: string[] = [];
  closed: { code: number; reason: string } | null = null;
  readonly #socket: WebSocket;
  readonly #options: DialOptions;
  readonly #scripts = new Map<NodeMethod, Script<NodeMethod>>();
  readonly #watchers = new Set<() => void>();
  #pinging: ReturnType<typeof setInterval> | undefined;

  constructor(socket: WebSocket, options: DialOptions) {
    this.#socket = socket;
    this.#options = options;
    this.node = (options.node ?? 'node-1') as NodeId;
    this.boot = options.boot ?? mintBootId();
    this.sessions = new FakeSessions(this.boot, options.ingress ?? []);
    socket.addEventListener('message', (event) => void this.#received(String(event.data)));
    socket.addEventListener('close', (event) => {
      this.closed = { code: event.code, reason: event.reason };
      clearInterval(this.#pinging);
      this.#changed();
    });
  }

  /** The publishers' sessions that it carries. */
  get ingress(): Map<SessionId, IngressReport> {
    return this.sessions.ingress;
  }

  /** The viewers' sessions that it carries. */
  get egress(): Map<SessionId, FakeViewer> {
    return this.sessions.egress;
  }

  /** From now on `method` is answered by `script`; null: by the model again. */
  on<M extends NodeMethod>(method: M, script: Script<M> | null): this {
    if (script === null) this.#scripts.delete(method);
    else this.#scripts.set(method, script as unknown as Script<NodeMethod>);
    return this;
  }

  /** From now on `method` is refused with `problem`. */
  refuse(method: NodeMethod, problem: Problem): this {
    return this.on(method, () => {
      throw ProblemError.from(problem);
    });
  }

  /** From now on `method` gets no response at all. */
  ignore(method: NodeMethod): this {
    return this.on(method, () => new Promise<never>(() => undefined));
  }

  /** Resolves when `condition` holds (checked after every frame and close). @throws Error after `waitMs`. */
  async until(condition: () => boolean, waitMs = DEFAULT_WAIT_MS): Promise<void> {
    if (condition()) return;
    await new Promise<void>((resolve, reject) => {
      const check = (): void => {
        if (!condition()) return;
        clearTimeout(timer);
        this.#watchers.delete(check);
        resolve();
      };
      const timer = setTimeout(() => {
        this.#watchers.delete(check);
        reject(new Error(`the fake node ${this.node} waited ${waitMs} ms in vain`));
      }, waitMs);
      this.#watchers.add(check);
    });
  }

  /** The `count`th request of this method (default: the first), when it comes. */
  async request<M extends NodeMethod>(method: M, count = 1): Promise<RequestOf<M>> {
    const found = (): RequestOf<M>[] =>
      this.requests.filter((request): request is RequestOf<M> => request.method === method);
    await this.until(() => found().length >= count);
    const request = found()[count - 1];
    if (request === undefined) throw new Error('unreachable: the condition held');
    return request;
  }

  async welcome(): Promise<Welcome> {
    await this.until(() => this.welcomes.length > 0);
    const last = this.welcomes.at(-1);
    if (last === undefined) throw new Error('unreachable: the condition held');
    return last;
  }

  hello(changes: Partial<Hello> = {}): void {
    this.send({
      type: 'hello',
      protocol: this.#options.protocol ?? CONTROL_PROTOCOL_VERSION,
      node: this.node,
      boot: this.boot,
      version: '0.0.0-test',
      region: this.#options.region ?? 'test',
      addresses: ['127.0.0.1:8840'],
      engine: 'portable',
      capacity: { sessions: this.#options.capacity ?? 1000 },
      ingress: [...this.sessions.ingress.values()],
      lobbies: this.#options.lobbies ?? this.sessions.lobbies(),
      lives: this.sessions.liveReports(),
      relays: [...this.sessions.relays.values(), ...this.sessions.memberRelays.values()],
      ...(this.#options.coordinates === undefined ? {} : { coordinates: this.#options.coordinates }),
      load: { sessions: this.sessions.count, packetsPerSecond: 0, cpu: 0 },
      ...changes,
    });
    if (this.#options.pings !== false) this.#pinging ??= setInterval(() => this.#ping(), PING_INTERVAL_MS);
  }

  /** Reports `ingress` (the model's own by default) and the present counts. */
  report(ingress: IngressReport[] = [...this.sessions.ingress.values()], changes: Partial<Report> = {}): void {
    for (const report of ingress) {
      if (report.state === 'closed') this.sessions.ingress.delete(report.session);
      else this.sessions.ingress.set(report.session, report);
    }
    this.send({
      type: 'report',
      ingress,
      lobbies: this.sessions.lobbies(),
      load: { sessions: this.sessions.count, packetsPerSecond: 0, cpu: 0 },
      ...changes,
    });
  }

  /** Reports what it pulls of a lobby. */
  reportRelay(lobby: LobbyId, changes: Partial<RelayReport>): void {
    const relay = this.sessions.relays.get(lobby);
    if (relay === undefined) throw new Error(`the fake node ${this.node} pulls nothing of ${lobby}`);
    const report = { ...relay, ...changes };
    if (report.state === 'closed') this.sessions.relays.delete(lobby);
    else this.sessions.relays.set(lobby, report);
    this.report([], { relays: [report] });
  }

  /** Reports what it pulls of a member of a stream lobby. */
  reportMemberRelay(source: SessionId, changes: Partial<RelayReport>): void {
    const relay = this.sessions.memberRelays.get(source);
    if (relay === undefined) throw new Error(`the fake node ${this.node} pulls nothing of ${source}`);
    const report = { ...relay, ...changes };
    if (report.state === 'closed') this.sessions.memberRelays.delete(source);
    else this.sessions.memberRelays.set(source, report);
    this.report([], { relays: [report] });
  }

  send(frame: NodeFrame): void {
    this.sendRaw(JSON.stringify(frame));
  }

  sendRaw(frame: string | ArrayBuffer): void {
    this.#socket.send(frame);
  }

  close(code = 1000, reason = 'done'): void {
    clearInterval(this.#pinging);
    this.#socket.close(code, reason);
  }

  #ping(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.sendRaw(PING_FRAME);
    else clearInterval(this.#pinging);
  }

  async #received(text: string): Promise<void> {
    if (text === PONG_FRAME) this.pongs.push(text);
    else {
      const frame = edgeFrameSchema.parse(JSON.parse(text));
      if (frame.type === 'welcome') {
        this.welcomes.push(frame);
        this.sessions.obey(frame.desired, frame.streams ?? [], true);
      } else {
        this.requests.push(frame.request);
        this.#changed();
        await this.#respond(frame);
      }
    }
    this.#changed();
  }

  async #respond(frame: RequestFrame): Promise<void> {
    const script = this.#scripts.get(frame.request.method);
    try {
      const value = script === undefined ? this.sessions.answer(frame.request) : await script(frame.request);
      // A script that answers nonsense would test nothing.
      resultSchemas[frame.request.method].parse(value);
      this.send({ type: 'response', id: frame.id, outcome: { ok: true, value } });
    } catch (error) {
      if (!(error instanceof ProblemError)) throw error;
      this.send({ type: 'response', id: frame.id, outcome: { ok: false, problem: error.toProblem() } });
    }
  }

  #changed(): void {
    for (const check of [...this.#watchers]) check();
  }
}

/** The raw upgrade response, for tests of the door itself. */
export function knock(options: DialOptions = {}): Promise<Response> {
  return callWorker('/node/link', {
    headers: {
      Upgrade: 'websocket',
      Authorization: `Bearer ${options.token ?? TEST_NODE_TOKEN}`,
      'Vestibule-Node': options.node ?? 'node-1',
    },
  });
}

/** Dials, says hello and waits for the welcome. Close it when the test is over. */
export async function dialFakeNode(options: DialOptions = {}): Promise<FakeNode> {
  const response = await knock(options);
  const socket = response.webSocket;
  if (response.status !== 101 || socket === null) throw new Error(`the edge answered the dial with ${response.status}`);
  const node = new FakeNode(socket, options);
  socket.accept();
  if (options.hello !== false) {
    node.hello();
    await node.welcome();
  }
  return node;
}
