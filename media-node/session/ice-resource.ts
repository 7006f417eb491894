/**
 * The ICE side of a session resource (RFC 9725 §4.3): the entity-tag of the present ICE session, trickle and restart. The
 * node owns this state, so a precondition is compared and applied in one step, however PATCH requests overlap.
 */
import { ProblemError } from '../../shared/errors.ts';
import { evaluateIfMatch, makeEtag } from '../../shared/etag.ts';
import type { NodeResult } from '../../shared/protocol/control.ts';
import { type IceFragment, parseFragment, restartCredentials } from '../../shared/sdpfrag.ts';
import type { IceCredentials, LocalTransport, RemoteTransport } from '../negotiate/plan.ts';
import { restartFragment } from '../negotiate/restart-fragment.ts';
import { mintIceCredentials } from '../transport/ice-credentials.ts';
import type { PeerTransport } from '../transport/types.ts';
import type { NodeContext } from './context.ts';

/** Requests overlap by a few at most; a client that restarts for ever must not grow anything. */
const MAX_PAST_REMOTES = 8;

export interface IceResourceOptions {
  context: NodeContext;
  transport: PeerTransport;
  local: LocalTransport;
  /** Null while our own offer is unanswered. */
  remote: IceCredentials | null;
  /** Of the accepted m-sections, the BUNDLE-tagged one first. */
  mids: readonly string[];
}

export interface IcePatch {
  fragment: string;
  ifMatch: string | null;
  strict: boolean;
}

export class IceResource {
  readonly #transport: PeerTransport;
  #local: LocalTransport;
  #remote: IceCredentials | null;
  /** The peer's fragments of earlier ICE sessions. */
  readonly #pastRemotes = new Set<string>();
  readonly #mids: readonly string[];

  constructor(options: IceResourceOptions) {
    this.#transport = options.transport;
    this.#local = options.local;
    this.#remote = options.remote;
    this.#mids = options.mids;
  }

  /** Fresh credentials on the process's own addresses and certificate. */
  static localTransport(context: NodeContext): LocalTransport {
    return {
      ice: mintIceCredentials(),
      fingerprint: context.endpoint.fingerprint,
      candidates: context.endpoint.candidates,
    };
  }

  /** With the credentials of the present ICE session: what a further offer must say. */
  get local(): LocalTransport {
    return this.#local;
  }

  /** Strong and quoted. The local ufrag names the ICE session and nothing else. */
  get etag(): string {
    return makeEtag(this.#local.ice.ufrag);
  }

  acceptRemote(remote: RemoteTransport): void {
    this.#remote = remote.ice;
    this.#transport.setRemote(remote);
  }

  /** @throws ProblemError 400 for a malformed fragment, 412 or 428 for the precondition; the ICE session is untouched then. */
  patch({ fragment, ifMatch, strict }: IcePatch): NodeResult<'patch'> {
    const parsed = parseFragment(fragment);
    const restart = this.#restartOf(parsed);
    const verdict = evaluateIfMatch(ifMatch, this.etag, { strict });
    if (verdict === 'missing') {
      throw new ProblemError(428, 'precondition_required', 'If-Match is required: send the ETag of this ICE session');
    }
    if (verdict === 'mismatch') {
      throw new ProblemError(412, 'precondition_failed', 'If-Match does not name the present ICE session');
    }
    // A lite agent learns the peer's addresses from its checks, so trickled candidates need no further handling.
    if (restart === null) return { kind: 'trickled' };
    this.#local = { ...this.#local, ice: mintIceCredentials() };
    if (this.#remote !== null) this.#rememberPast(this.#remote.ufrag);
    this.#remote = restart;
    this.#transport.restartIce(this.#local.ice, restart);
    return { kind: 'restarted', fragment: restartFragment(this.#local, this.#mids), etag: this.etag };
  }

  #rememberPast(ufrag: string): void {
    this.#pastRemotes.add(ufrag);
    const [oldest] = this.#pastRemotes;
    if (this.#pastRemotes.size > MAX_PAST_REMOTES && oldest !== undefined) this.#pastRemotes.delete(oldest);
  }

  /** Null for a trickle; also for a late one of an earlier ICE session, which must not undo the restart since. */
  #restartOf(fragment: IceFragment): IceCredentials | null {
    if (this.#remote === null || this.#pastRemotes.has(fragment.ice?.ufrag ?? '')) return null;
    return restartCredentials(fragment, this.#remote);
  }

  close(): void {
    this.#transport.close();
  }
}
