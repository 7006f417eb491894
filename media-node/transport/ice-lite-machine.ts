/**
 * A lite, controlled ICE agent (RFC 8445 §2.5, §7.3) as a pure machine: it answers the peer's connectivity checks and
 * follows the peer's nominations. It sends no checks, needs no timer and costs nothing while nothing arrives.
 *
 * Nothing it decides depends on the time, so `step` takes none; silence is the transport's business.
 */
import type { IceCredentials } from '../negotiate/plan.ts';
import { type BindingRequest, bindingError, bindingSuccess, hasIntegrity, localFragment } from './stun.ts';

/** Where a peer's datagrams come from: its address as seen by one of our sockets. */
export interface PeerAddress {
  readonly address: string;
  readonly port: number;
  /** Index of our socket: the same address may reach two of them, and replies must leave through the right one. */
  readonly socket: number;
}

export interface IceState {
  /** What the peer's next checks should use. */
  readonly current: IceCredentials;
  /** After a restart: the credentials of the pair that carries media until the new ones are nominated. */
  readonly previous: IceCredentials | null;
  /** Where the peer wants media; `path-machine.ts` decides where it goes. */
  readonly nominated: PeerAddress | null;
  /** Addresses proved by an authenticated check, in the order of their first proof. */
  readonly proven: readonly PeerAddress[];
}

export type IceEvent =
  /** `inUse`: where media goes. */
  | { type: 'check'; request: BindingRequest; from: PeerAddress; inUse: PeerAddress | null }
  /** New local credentials (RFC 8445 §9). */
  | { type: 'restart'; local: IceCredentials };

export type IceEffect =
  | { type: 'reply'; datagram: Buffer; to: PeerAddress }
  /** An authenticated check came from `address`: datagrams from there are this peer's, and the peer lives. */
  | { type: 'proved'; address: PeerAddress }
  /** `address` made room for a newer one. */
  | { type: 'forgotten'; address: PeerAddress }
  /** The peer wants media at `address` from now on. */
  | { type: 'nominated'; address: PeerAddress }
  /** Checks with this user name fragment are ours from now on. */
  | { type: 'opened'; ufrag: string }
  /** …and no longer. */
  | { type: 'retired'; ufrag: string };

export interface IceStep {
  state: IceState;
  effects: readonly IceEffect[];
}

/** A client has a handful of interfaces and relays; more proofs than this are churn, and the oldest makes room. */
export const MAX_PROVEN_ADDRESSES = 8;

export function openIce(local: IceCredentials): IceState {
  return { current: local, previous: null, nominated: null, proven: [] };
}

export function step(state: IceState, event: IceEvent): IceStep {
  return event.type === 'check' ? check(state, event) : restart(state, event.local);
}

function check(state: IceState, { request, from, inUse }: IceEvent & { type: 'check' }): IceStep {
  const refuse = (code: 400 | 401 | 420 | 487, password: string | null): IceStep => ({
    state,
    effects: [{ type: 'reply', datagram: bindingError(request, code, password), to: from }],
  });
  // Only the part before the colon is compared: RFC 8445 §7.3 asks for no more, the peer's part is unknown while our own
  // offer is unanswered, and the proof is the password.
  if (request.username === null || request.integrityOffset < 0) return refuse(400, null);
  const credentials = credentialsFor(state, localFragment(request.username));
  if (credentials === null || !hasIntegrity(request, credentials.pwd)) return refuse(401, null);
  if (request.unknown.length > 0) return refuse(420, credentials.pwd);
  // A lite agent stays controlled (RFC 8445 §6.1.1), so a peer that thinks that it is controlled must switch.
  if (request.iceControlled) return refuse(487, credentials.pwd);
  // PRIORITY and ICE-CONTROLLING are not asked for: FFmpeg 8.0 sends neither.

  const effects: IceEffect[] = [
    { type: 'reply', datagram: bindingSuccess(request, from.address, from.port, credentials.pwd), to: from },
    { type: 'proved', address: from },
  ];
  let next = state;
  if (!state.proven.some((known) => sameAddress(known, from))) {
    const [proven, forgotten] = addProof(state, from, inUse);
    next = { ...next, proven };
    if (forgotten !== null) effects.push({ type: 'forgotten', address: forgotten });
  }
  if (!request.useCandidate) return { state: next, effects };

  const moved = next.nominated === null || !sameAddress(next.nominated, from);
  if (moved) {
    next = { ...next, nominated: from };
    effects.push({ type: 'nominated', address: from });
  }
  if (next.previous !== null && credentials === next.current) {
    effects.push({ type: 'retired', ufrag: next.previous.ufrag });
    next = { ...next, previous: null };
  }
  return { state: next, effects };
}

function restart(state: IceState, local: IceCredentials): IceStep {
  const effects: IceEffect[] = [{ type: 'opened', ufrag: local.ufrag }];
  // A restart during a restart: the pair in use belongs to the older credentials, those in between were never nominated.
  if (state.previous !== null) effects.push({ type: 'retired', ufrag: state.current.ufrag });
  return { state: { ...state, current: local, previous: state.previous ?? state.current }, effects };
}

function credentialsFor(state: IceState, ufrag: string): IceCredentials | null {
  if (ufrag === state.current.ufrag) return state.current;
  return ufrag === state.previous?.ufrag ? state.previous : null;
}

/** What is in use or nominated stays: a signed check can be caught and sent again from as many forged addresses as one likes. */
function addProof(
  { proven, nominated }: IceState,
  address: PeerAddress,
  inUse: PeerAddress | null,
): [readonly PeerAddress[], PeerAddress | null] {
  if (proven.length < MAX_PROVEN_ADDRESSES) return [[...proven, address], null];
  const stays = (known: PeerAddress): boolean =>
    [nominated, inUse].some((place) => place !== null && sameAddress(place, known));
  const oldest = proven.find((known) => !stays(known)) ?? null;
  return [[...proven.filter((known) => known !== oldest), address], oldest];
}

export function sameAddress(a: PeerAddress, b: PeerAddress): boolean {
  return a.port === b.port && a.address === b.address && a.socket === b.socket;
}
