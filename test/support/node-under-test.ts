/**
 * A whole media node in this process: sockets, forwarder and sessions, without an edge. Tests speak to it as the edge
 * would, by requests, and clients reach it over real UDP on loopback.
 */
import type { FanoutEngine } from '../../media-node/forward/fanout-engine.ts';
import { createForwarder } from '../../media-node/forward/forwarder.ts';
import type { Forwarder } from '../../media-node/forward/types.ts';
import { AddressPolicy } from '../../media-node/push/address-policy.ts';
import { findFfmpeg } from '../../media-node/push/ffmpeg-program.ts';
import type { Recordings } from '../../media-node/record/recordings.ts';
import type { NodeContext } from '../../media-node/session/context.ts';
import { MediaNode } from '../../media-node/session/media-node.ts';
import { LoadMeter } from '../../media-node/stats/load-meter.ts';
import { openSockets } from '../../media-node/transport/open-sockets.ts';
import { openMediaEndpoint, type UdpMediaEndpoint } from '../../media-node/transport/udp-endpoint.ts';
import {
  type LobbyId,
  mintBootId,
  mintSessionId,
  type NodeId,
  nodeIdSchema,
  type SessionId,
} from '../../shared/ids.ts';
import type {
  DesiredLobby,
  IngressReport,
  NodeRequest,
  NodeResult,
  RelayReport,
  Report,
} from '../../shared/protocol/control.ts';
import type { Signalling } from './client/signalling.ts';

const LOOPBACK = '127.0.0.1';
const TICK_MS = 10;
const CAPACITY = 1_000;
const KEYFRAME_CACHE_BYTES = 8 * 1024 * 1024;

export interface NodeUnderTestOptions {
  /** True by default. */
  keyframeCache?: boolean;
  /** Path of ffmpeg; none is found by default. */
  ffmpeg?: string;
  /** The portable one by default. */
  engine?: FanoutEngine;
  /** Nothing is recorded by default. */
  recordings?: (context: NodeContext) => Recordings;
  /** Its name. */
  id?: string;
}

/** What the edge may do to a relay's descriptions on their way. */
export interface RelayWishes {
  offer?(sdp: string): string;
  answer?(sdp: string): string;
}

export class NodeUnderTest {
  readonly id: NodeId;
  readonly endpoint: UdpMediaEndpoint;
  readonly forwarder: Forwarder;
  readonly node: MediaNode;
  /** What the edge would have been told, in order. */
  readonly reports: Report[] = [];
  readonly logs: string[] = [];
  /** A drain is over: a process would end. */
  drained = false;
  readonly #tick: NodeJS.Timeout;
  #revision = 0;

  constructor(endpoint: UdpMediaEndpoint, options: NodeUnderTestOptions) {
    const now = (): number => performance.now();
    this.id = nodeIdSchema.parse(options.id ?? 'node-under-test');
    this.endpoint = endpoint;
    this.forwarder = createForwarder(
      { keyframeCache: options.keyframeCache ?? true, keyframeCacheBytes: KEYFRAME_CACHE_BYTES },
      options.engine === undefined ? {} : { engine: options.engine },
    );
    const log = (message: string): void => void this.logs.push(message);
    const context = { endpoint, forwarder: this.forwarder, now, log };
    this.node = new MediaNode({
      context,
      recordings: options.recordings?.(context),
      pushing: { policy: new AddressPolicy([LOOPBACK]), ffmpeg: () => findFfmpeg(options.ffmpeg ?? null, '') },
      node: this.id,
      boot: mintBootId(),
      version: '0.0.0',
      region: 'test',
      capacity: CAPACITY,
      load: new LoadMeter(() => ({ nowMs: now(), cpuUs: 0, packets: 0, bytesOut: 0 })),
      report: (report) => {
        this.reports.push(report);
        return true;
      },
      onDrained: () => {
        this.drained = true;
      },
    });
    this.#tick = setInterval(() => this.forwarder.tick(now()), TICK_MS);
  }

  request<M extends NodeRequest['method']>(request: Extract<NodeRequest, { method: M }>): NodeResult<M> {
    return this.node.request(request) as NodeResult<M>;
  }

  /** Signalling for a publisher. `session` is known from the start, so that a successor can name it. */
  publishing(
    room: string,
    replaces: SessionId | null = null,
  ): Signalling & { session: SessionId; resumed: boolean | null } {
    const session = mintSessionId();
    const lobby = lobbyOf(room);
    const signalling = {
      session,
      /** Whether the viewers of `replaces` were kept; null before the answer. */
      resumed: null as boolean | null,
      open: async (offer: string) => {
        const revision = ++this.#revision;
        const { answer, etag, resumed } = this.request<'publish'>({
          method: 'publish',
          lobby,
          revision,
          session,
          generation: revision,
          offer,
          replaces,
        });
        signalling.resumed = resumed;
        return { sdp: answer, etag };
      },
      restart: async (fragment: string, etag: string) => this.#restart(session, fragment, etag),
      // What the edge does on DELETE of a publisher: the lobby is over.
      close: async () => {
        this.#revision += 1;
        this.request<'apply'>({ method: 'apply', desired: { lobby, revision: this.#revision, publisher: null } });
      },
    };
    return signalling;
  }

  /** Signalling for a viewer. */
  playing(room: string): Signalling & { session: SessionId } {
    const session = mintSessionId();
    return {
      session,
      open: async (offer) => {
        const { sdp, etag } = this.request<'play'>({
          method: 'play',
          lobby: lobbyOf(room),
          session,
          offer,
          maxSubscribers: 0,
        });
        return { sdp, etag };
      },
      restart: async (fragment, etag) => this.#restart(session, fragment, etag),
      close: async () => {
        this.request<'close'>({ method: 'close', session });
      },
    };
  }

  /**
   * What the edge does so that this node gets a room's tracks from another.
   * @throws ProblemError as `relay-offer` and `relay-pull` do
   */
  relayFrom(
    upstream: NodeUnderTest,
    room: string,
    { offer: onOffer = (sdp) => sdp, answer: onAnswer = (sdp) => sdp }: RelayWishes = {},
  ): { session: SessionId; resumed: boolean } {
    const lobby = lobbyOf(room);
    const session = mintSessionId();
    const { offer } = upstream.request<'relay-offer'>({
      method: 'relay-offer',
      lobby,
      session,
      downstream: this.id,
      source: null,
    });
    this.#revision += 1;
    const { answer, resumed } = this.request<'relay-pull'>({
      method: 'relay-pull',
      lobby,
      revision: this.#revision,
      relay: { session, generation: this.#revision, upstream: upstream.id },
      source: null,
      tracks: [],
      offer: onOffer(offer),
    });
    upstream.request<'answer'>({ method: 'answer', session, answer: onAnswer(answer) });
    return { session, resumed };
  }

  /** Says what the edge wants of a room here, under a new revision. */
  apply(room: string, wish: Omit<DesiredLobby, 'lobby' | 'revision'>): void {
    this.#revision += 1;
    this.request<'apply'>({ method: 'apply', desired: { ...wish, lobby: lobbyOf(room), revision: this.#revision } });
  }

  /** The newest report of a relay that this node pulls. */
  lastRelayReport(session: SessionId): RelayReport | undefined {
    return this.reports.flatMap(({ relays }) => relays ?? []).findLast((report) => report.session === session);
  }

  /** The newest report of a publisher's session. */
  lastReportOf(session: SessionId): IngressReport | undefined {
    return this.reports.flatMap(({ ingress }) => ingress).findLast((report) => report.session === session);
  }

  async close(): Promise<void> {
    clearInterval(this.#tick);
    await this.node.close();
    this.forwarder.close();
    await this.endpoint.close();
  }

  #restart(session: SessionId, fragment: string, etag: string): { fragment: string; etag: string } {
    const result = this.request<'patch'>({ method: 'patch', session, fragment, ifMatch: etag, strict: true });
    if (result.kind !== 'restarted') throw new Error('the node took the restart for a trickle');
    return { fragment: result.fragment, etag: result.etag };
  }
}

export function lobbyOf(room: string): LobbyId {
  return `room:${room}` as LobbyId;
}

/** Opens a node on 127.0.0.1 and a free port. */
export async function openNodeUnderTest(options: NodeUnderTestOptions = {}): Promise<NodeUnderTest> {
  const endpoint = await openMediaEndpoint({
    addresses: [{ bind: LOOPBACK, announce: LOOPBACK, family: 4 }],
    port: 0,
    sockets: await openSockets(options.engine?.name ?? 'portable'),
  });
  return new NodeUnderTest(endpoint, options);
}
