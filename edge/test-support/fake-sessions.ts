/** The sessions that a fake media node carries: just enough of a model that its answers hang together. */
import { ProblemError } from '../../shared/errors.ts';
import type { BootId, LobbyId, SessionId } from '../../shared/ids.ts';
import type {
  DesiredLobby,
  IngressReport,
  LobbyLoad,
  NodeMethod,
  NodeRequest,
  NodeResult,
  TrackReport,
} from '../../shared/protocol/control.ts';
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
  readonly egress = new Map<SessionId, FakeViewer>();
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
        this.ingress.set(session, { lobby, session, generation, state: 'connecting', tracks: AUDIO_AND_VIDEO });
        return {
          answer: PUBLISH_ANSWER,
          etag: this.#tag(),
          tracks: AUDIO_AND_VIDEO,
          resumed: request.replaces !== null,
        };
      }
      case 'play': {
        const open = [...this.egress.values()].filter((egress) => egress.lobby === request.lobby).length;
        if (request.maxSubscribers > 0 && open >= request.maxSubscribers) {
          throw new ProblemError(403, 'subscriber_limit', 'subscriber limit reached');
        }
        this.egress.set(request.session, { lobby: request.lobby, answerPending: request.offer === null });
        return { sdp: request.offer === null ? NODE_OFFER : PLAY_ANSWER, etag: this.#tag() };
      }
      case 'answer': {
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
        this.#mustCarry(request.session);
        this.ingress.delete(request.session);
        this.egress.delete(request.session);
        return {};
      case 'apply':
        this.obey([request.desired], false);
        return {};
      case 'join':
      case 'listen':
      case 'apply-stream':
        throw new ProblemError(501, 'unsupported', 'this node carries no stream lobbies');
    }
  }

  /** Drops what is not desired; with `full`, also what belongs to lobbies that are not listed. */
  obey(desired: DesiredLobby[], full: boolean): void {
    const byLobby = new Map(desired.map((entry) => [entry.lobby, entry]));
    for (const [session, report] of this.ingress) {
      const wanted = byLobby.get(report.lobby);
      if (wanted === undefined ? full : wanted.publisher?.session !== session) this.ingress.delete(session);
    }
    for (const [session, egress] of this.egress) {
      const wanted = byLobby.get(egress.lobby);
      if (wanted === undefined ? full : wanted.publisher === null) this.egress.delete(session);
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

function noSession(): ProblemError {
  return new ProblemError(404, 'no_session', 'no such session');
}
