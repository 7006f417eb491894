/** A media node without media, for tests: it obeys as the control protocol says, and says what it carries. */
import type { Problem } from '../../shared/errors.ts';
import { type BootId, type LobbyId, mintBootId, type NodeId, type SessionId } from '../../shared/ids.ts';
import type { DesiredLobby, IngressReport, NodeRequest, RelayReport } from '../../shared/protocol/control.ts';

export const LOBBY = 'room:r' as LobbyId;
export type Source = { session: SessionId; generation: number };
export type ToNode =
  | { desired: DesiredLobby | null }
  | { request: NodeRequest; answer: (problem: Problem | null) => void };
export type ToEdge = { ingress: IngressReport[]; relays: RelayReport[] } | { hello: true };

const refusal = (code: string): Problem => ({ status: 409, code, detail: code });

/** One machine, over all its lives. */
export class ModelNode {
  readonly node: NodeId;
  boot: BootId = mintBootId();
  revision = 0;
  publisher: Source | null = null;
  relay: (Source & { upstream: NodeId }) | null = null;
  viewers = 0;
  /** Number of the connection; null: none. */
  connection: number | null = null;
  welcomed = false;
  toNode: ToNode[] = [];
  toEdge: ToEdge[] = [];

  constructor(name: string) {
    this.node = name as NodeId;
  }

  get carries(): boolean {
    return this.publisher !== null || this.relay !== null;
  }

  restart(): void {
    this.boot = mintBootId();
    this.revision = 0;
    this.publisher = null;
    this.relay = null;
    this.viewers = 0;
  }

  words(): { ingress: IngressReport[]; relays: RelayReport[] } {
    const common = { lobby: LOBBY, state: 'connected' as const };
    return {
      ingress: this.publisher === null ? [] : [{ ...common, ...this.publisher, tracks: [] }],
      relays: this.relay === null ? [] : [{ ...common, ...source(this.relay), idle: false }],
    };
  }

  report(): void {
    if (this.welcomed) this.toEdge.push(this.words());
  }

  obey(desired: DesiredLobby): void {
    if (desired.revision < this.revision) return;
    this.revision = desired.revision;
    if (this.publisher !== null && this.publisher.session !== desired.publisher?.session) this.publisher = null;
    if (this.relay !== null && this.relay.session !== desired.relay?.session) this.relay = null;
    if (desired.publisher === null && !desired.relay) this.viewers = 0;
  }

  handle(request: NodeRequest): Problem | null {
    switch (request.method) {
      case 'publish':
        if (request.revision < this.revision) return refusal('stale_revision');
        this.revision = request.revision;
        this.publisher = source(request);
        if (request.replaces === null) this.viewers = 0;
        return null;
      case 'relay-offer':
        return this.carries ? null : refusal('no_publisher');
      case 'relay-pull':
        if (this.publisher !== null) return refusal('publisher_here');
        if (request.revision < this.revision) return refusal('stale_revision');
        this.revision = request.revision;
        this.relay = { ...source(request.relay), upstream: request.relay.upstream };
        return null;
      case 'apply':
        this.obey(request.desired);
        return null;
      default:
        return null;
    }
  }
}

export function source({ session, generation }: Source): Source {
  return { session, generation };
}
