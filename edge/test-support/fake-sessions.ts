/** The sessions that a fake media node carries: just enough of a model that its answers hang together. */
import { ProblemError } from '../../shared/errors.ts';
import type { BootId, LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type {
  DesiredLobby,
  DesiredStream,
  IngressReport,
  LiveReport,
  LobbyLoad,
  NodeMethod,
  NodeRequest,
  NodeResult,
  PlayEvent,
  RelayReport,
  TrackReport,
} from '../../shared/protocol/control.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { readTrackInfo } from '../../shared/track-info.ts';
import { NODE_OFFER, PLAY_ANSWER, PUBLISH_ANSWER } from './sample-sdp.ts';

const AUDIO_AND_VIDEO: TrackReport[] = [
  { mid: '0', kind: 'audio', codec: 'opus', rids: [] },
  { mid: '1', kind: 'video', codec: 'VP8', rids: [] },
];

export interface FakeViewer {
  lobby: LobbyId;
  answerPending: boolean;
}

export class FakeSessions {
  readonly ingress = new Map<SessionId, IngressReport>();
  /** Viewers, audience and members' listeners. */
  readonly egress = new Map<SessionId, FakeViewer>();
  /** The format in which each lobby is recorded. */
  readonly recordings = new Map<LobbyId, string>();
  /** What is pushed, with the URLs. */
  readonly lives = new Map<LobbyId, { live: string; url: string }>();
  /** What it pulls, by lobby. */
  readonly relays = new Map<LobbyId, RelayReport>();
  /** What it pulls of stream lobbies, by member. */
  readonly memberRelays = new Map<SessionId, RelayReport>();
  /** What it serves to other nodes: the lobby, and the node that pulls. */
  readonly served = new Map<SessionId, { lobby: LobbyId; downstream: NodeId; answered: boolean }>();
  readonly eventStreams = new Map<string, { session: SessionId; events: readonly PlayEvent[]; reads: number }>();
  draining = false;
  readonly #boot: BootId;
  #tags = 0;

  constructor(boot: BootId, ingress: readonly IngressReport[]) {
    this.#boot = boot;
    for (const report of ingress) this.ingress.set(report.session, report);
  }

  get count(): number {
    return this.ingress.size + this.egress.size;
  }

  /** What a node would answer. @throws ProblemError */
  answer(request: NodeRequest): NodeResult<NodeMethod> {
    switch (request.method) {
      case 'publish': {
        const { lobby, session, generation } = request;
        for (const [other, report] of this.ingress) if (report.lobby === lobby) this.ingress.delete(other);
        this.relays.delete(lobby);
        this.ingress.set(session, { lobby, session, generation, state: 'connecting', tracks: AUDIO_AND_VIDEO });
        return {
          answer: PUBLISH_ANSWER,
          etag: this.#tag(),
          tracks: AUDIO_AND_VIDEO,
          resumed: request.replaces !== null,
        };
      }
      case 'play': {
        if (this.draining) throw new ProblemError(503, 'node_draining', 'this node is being emptied');
        if (!this.#hasTracks(request.lobby)) {
          throw new ProblemError(404, 'no_publisher', 'no active publisher in room');
        }
        const open = [...this.egress.values()].filter((egress) => egress.lobby === request.lobby).length;
        if (request.maxSubscribers > 0 && open >= request.maxSubscribers) {
          throw new ProblemError(403, 'subscriber_limit', 'subscriber limit reached');
        }
        this.egress.set(request.session, { lobby: request.lobby, answerPending: request.offer === null });
        return { sdp: request.offer === null ? NODE_OFFER : PLAY_ANSWER, etag: this.#tag() };
      }
      case 'answer': {
        const served = this.served.get(request.session);
        if (served !== undefined) {
          served.answered = true;
          return {};
        }
        const egress = this.egress.get(request.session);
        if (egress === undefined) throw noSession();
        if (!egress.answerPending) throw new ProblemError(422, 'no_offer_pending', 'no answer is awaited');
        egress.answerPending = false;
        return {};
      }
      case 'patch': {
        this.#mustCarry(request.session);
        if (request.strict && request.ifMatch === null) {
          throw new ProblemError(428, 'precondition_required', 'If-Match is required');
        }
        if (request.ifMatch === '"stale"') throw new ProblemError(412, 'precondition_failed', 'If-Match is stale');
        if (!request.fragment.includes('a=ice-ufrag:restart')) return { kind: 'trickled' };
        const fragment = 'a=ice-ufrag:srv2\r\na=ice-pwd:aaaaaaaaaaaaaaaaaaaaaa\r\n';
        return { kind: 'restarted', fragment, etag: this.#tag() };
      }
      case 'probe':
        this.#mustCarry(request.session);
        return {};
      case 'close':
        if (this.served.delete(request.session)) return {};
        this.#mustCarry(request.session);
        this.ingress.delete(request.session);
        this.#closeEgress(request.session);
        return {};
      case 'apply':
        this.obey([request.desired], [], false);
        return {};
      case 'join': {
        const { lobby, session, generation, fixed } = request;
        const tracks = tracksIn(request.offer, fixed);
        this.ingress.set(session, { lobby, session, generation, state: 'connecting', tracks });
        return { answer: PUBLISH_ANSWER, etag: this.#tag(), tracks };
      }
      case 'listen': {
        const member = this.ingress.get(request.member);
        if (member === undefined) throw noSession();
        if (member.listener) throw new ProblemError(409, 'listener_exists', 'there is one already');
        const { session, lobby, offer } = request;
        this.ingress.set(request.member, { ...member, listener: { session, state: 'connecting' } });
        this.egress.set(session, { lobby, answerPending: offer === null });
        return { sdp: offer === null ? NODE_OFFER : PLAY_ANSWER, etag: this.#tag() };
      }
      case 'apply-stream':
        this.obey([], [request.desired], false);
        return {};
      case 'relay-offer': {
        const { lobby, session, downstream, source } = request;
        if (source !== null && !this.ingress.has(source) && !this.memberRelays.has(source)) throw noSession();
        if (!this.#hasTracks(lobby)) throw new ProblemError(404, 'no_publisher', 'no active publisher in room');
        this.served.set(session, { lobby, downstream, answered: false });
        return { offer: NODE_OFFER };
      }
      case 'relay-pull': {
        const { lobby, relay, source } = request;
        if (source !== null) {
          const { session, generation } = relay;
          this.memberRelays.set(source.session, { lobby, session, generation, state: 'connecting', idle: false });
          return { answer: PLAY_ANSWER, resumed: true };
        }
        if ([...this.ingress.values()].some((report) => report.lobby === lobby)) {
          throw new ProblemError(409, 'publisher_here', 'the publisher is here');
        }
        const { session, generation } = relay;
        this.relays.set(lobby, { lobby, session, generation, state: 'connecting', idle: false });
        return { answer: PLAY_ANSWER, resumed: true };
      }
      case 'drain':
        this.draining = true;
        return {};
      case 'snapshot':
        throw new ProblemError(404, 'no_publisher', 'there is no picture in a fake node');
      case 'layer':
        this.#mustCarry(request.session);
        if (request.rid !== null && request.rid !== 'low') {
          throw new ProblemError(422, 'no_layer', 'the video has no such layer');
        }
        return {};
      case 'open-events':
        this.#mustCarry(request.session);
        this.eventStreams.set('stream-1', { session: request.session, events: request.events, reads: 0 });
        return { stream: 'stream-1' };
      case 'read-events':
        return this.#readEvents(request.session, request.stream);
      case 'close-events':
        this.#readEvents(request.session, request.stream);
        this.eventStreams.delete(request.stream);
        return {};
    }
  }

  #readEvents(session: SessionId, id: string): NodeResult<'read-events'> {
    this.#mustCarry(session);
    const stream = this.eventStreams.get(id);
    if (stream?.session !== session) throw new ProblemError(404, 'no_stream', 'no such event stream');
    stream.reads++;
    const isFirst = stream.reads === 1 && stream.events.includes('active');
    const viewersOf = stream.events.includes('viewercount') ? (this.egress.get(session)?.lobby ?? null) : null;
    return { messages: isFirst ? [{ event: 'active', data: '{}' }] : [], viewersOf };
  }

  #hasTracks(lobby: LobbyId): boolean {
    const others = [...this.ingress.values(), ...this.memberRelays.values()];
    return this.relays.has(lobby) || others.some((report) => report.lobby === lobby);
  }

  /** Drops what is not desired; with `full`, also what belongs to lobbies that are not listed. */
  obey(desired: readonly DesiredLobby[], streams: readonly DesiredStream[], full: boolean): void {
    const named = new Set<LobbyId>([...desired, ...streams].map(({ lobby }) => lobby));
    for (const { lobby, recording } of [...desired, ...streams]) {
      if (recording) this.recordings.set(lobby, recording.format);
      else this.recordings.delete(lobby);
    }
    const held = new Set<LobbyId>();
    const wanted = new Set<SessionId>();
    for (const { lobby, publisher, relay } of desired) {
      if (!relay) this.relays.delete(lobby);
      if (publisher === null && !relay) continue;
      held.add(lobby);
      if (publisher !== null) wanted.add(publisher.session);
    }
    if (full) for (const lobby of this.relays.keys()) if (!named.has(lobby)) this.relays.delete(lobby);
    const listeners = this.#listeners();
    for (const { lobby, members, live, remotes = [], audience = false } of streams) {
      if (members.length + remotes.length > 0 || audience) held.add(lobby);
      const named = new Set(remotes.map(({ session }) => session));
      for (const [source, relay] of this.memberRelays) {
        if (relay.lobby === lobby && !named.has(source)) this.memberRelays.delete(source);
      }
      for (const { session, listener } of members) {
        wanted.add(session);
        if (listener !== null) wanted.add(listener);
      }
      if (live === null) this.lives.delete(lobby);
      else this.lives.set(lobby, live);
    }
    for (const [session, { lobby }] of this.ingress) {
      if (named.has(lobby) ? !wanted.has(session) : full) this.ingress.delete(session);
    }
    for (const [session, { lobby }] of this.egress) {
      const stays = listeners.has(session) ? wanted.has(session) : held.has(lobby);
      if (named.has(lobby) ? !stays : full) this.#closeEgress(session);
    }
    if (full) for (const lobby of this.lives.keys()) if (!named.has(lobby)) this.lives.delete(lobby);
  }

  /** Every push, in the state that a node begins with. */
  liveReports(): LiveReport[] {
    return [...this.lives].map(([lobby, { live }]) => ({ lobby, live, state: 'starting' }));
  }

  #listeners(): Set<SessionId> {
    const sessions = [...this.ingress.values()].map(({ listener }) => listener?.session);
    return new Set(sessions.filter((session) => session !== undefined));
  }

  #closeEgress(session: SessionId): void {
    this.egress.delete(session);
    for (const [member, report] of this.ingress) {
      if (report.listener?.session !== session) continue;
      const { listener: _, ...rest } = report;
      this.ingress.set(member, rest);
    }
  }

  /** Open egress sessions of each lobby. */
  lobbies(): LobbyLoad[] {
    const counts = new Map<LobbyId, number>();
    for (const { lobby } of this.egress.values()) counts.set(lobby, (counts.get(lobby) ?? 0) + 1);
    return [...counts].map(([lobby, subscribers]) => ({ lobby, subscribers }));
  }

  #mustCarry(session: SessionId): void {
    if (!this.ingress.has(session) && !this.egress.has(session)) throw noSession();
  }

  #tag(): string {
    this.#tags += 1;
    return `"${this.#boot.slice(0, 6)}-${this.#tags}"`;
  }
}

/** The tracks of a member's offer, with what their `i=` lines say. */
function tracksIn(offer: string, fixed: boolean): TrackReport[] {
  const media = parseSdp(offer).media.filter(({ kind }) => kind === 'audio' || kind === 'video');
  return media.map(({ mid, kind, information }) => {
    const info = readTrackInfo(information);
    const isAudio = kind === 'audio';
    return {
      mid: mid ?? '',
      kind: isAudio ? 'audio' : 'video',
      codec: isAudio ? 'opus' : 'VP8',
      rids: [],
      info: fixed ? { ...info, purpose: 'main' } : info,
    };
  });
}

function noSession(): ProblemError {
  return new ProblemError(404, 'no_session', 'no such session');
}
