/**
 * Where media goes, as a pure machine: only to an address that has shown that it gets what is sent there. A peer proves an
 * address to us by a signed check from there, but it could have forged the sender of that check, and have its neighbour
 * flooded with the media that it asked for ("voice hammer", RFC 8445 §19.5.1). Full agents ask for consent (RFC 7675); a
 * lite one sends no checks of its own, except here: an address that the peer moves to is asked, and media stays where it
 * is until there is an answer.
 */
import { type PeerAddress, sameAddress } from './ice-lite-machine.ts';

/** A path that works answers within a round trip; what is not answered is asked again after this, then twice that, … */
const FIRST_REPEAT_MS = 100;
/** Unanswered, the peer has to say again that it wants to move there: the one who is asked may never have heard of it. */
export const MAX_ASKS = 4;
/** Between any two asks, however often the peer changes its mind. */
export const ASK_SPACING_MS = 50;
/** More than a client has interfaces. */
const MAX_REACHED = 8;
/**
 * A path that the peer has not checked for so long while it checks another is a path that it has left: RFC 7675 §5.1 has it
 * check every 4 to 6 s. Not all say so by a nomination. Firefox and Pion ask for consent without one, and so does who does
 * not know that a NAT gave it another address; Firefox moreover nominates all that it tries, and uses the best of them.
 */
export const ABANDONED_MS = 7_000;

export interface PathState {
  /** Where media goes; null: nowhere yet. */
  readonly path: PeerAddress | null;
  /** Addresses that showed that they are the peer's. */
  readonly reached: readonly PeerAddress[];
  /** Where the peer wants to have it, while that is being asked. */
  readonly asking: { readonly to: PeerAddress; readonly asks: number; readonly nextMs: number } | null;
  readonly lastAskMs: number;
  /** When media came to the path, or the peer checked it last. */
  readonly checkedMs: number;
}

export type PathEvent =
  /** The peer wants media there; say it each time that it does. */
  | { type: 'nominated'; address: PeerAddress }
  /** The peer checked this address, and does not say where it wants media. */
  | { type: 'checked'; address: PeerAddress }
  /** From there came an answer that only who is there can give. */
  | { type: 'reached'; address: PeerAddress }
  /** The address made room for a newer one. */
  | { type: 'forgotten'; address: PeerAddress }
  | { type: 'time-passed' };

export type PathEffect =
  /** Ask whether the peer is there; the answer is `reached`. */
  | { type: 'ask'; to: PeerAddress }
  /** Media goes there from now on. */
  | { type: 'moved'; to: PeerAddress };

export interface PathStep {
  state: PathState;
  effects: readonly PathEffect[];
}

export function openPath(): PathState {
  return { path: null, reached: [], asking: null, lastAskMs: Number.NEGATIVE_INFINITY, checkedMs: 0 };
}

export function step(state: PathState, event: PathEvent, nowMs: number): PathStep {
  switch (event.type) {
    case 'nominated':
      return nominated(state, event.address, nowMs);
    case 'checked':
      return checked(state, event.address, nowMs);
    case 'reached':
      return reached(state, event.address, nowMs);
    case 'forgotten':
      return { state: { ...state, reached: without(state.reached, event.address) }, effects: [] };
    case 'time-passed':
      return askWhenDue(state, nowMs);
  }
}

function nominated(state: PathState, address: PeerAddress, nowMs: number): PathStep {
  if (isAt(state.path, address)) return { state: { ...state, asking: null, checkedMs: nowMs }, effects: [] };
  if (state.reached.some((known) => sameAddress(known, address))) {
    return moveTo({ ...state, asking: null }, address, nowMs);
  }
  if (isAt(state.asking?.to ?? null, address)) return { state, effects: [] };
  const nextMs = Math.max(nowMs, state.lastAskMs + ASK_SPACING_MS);
  return askWhenDue({ ...state, asking: { to: address, asks: 0, nextMs } }, nowMs);
}

function checked(state: PathState, address: PeerAddress, nowMs: number): PathStep {
  if (isAt(state.path, address)) return { state: { ...state, checkedMs: nowMs }, effects: [] };
  const isLeft = state.path !== null && nowMs - state.checkedMs >= ABANDONED_MS;
  return isLeft ? nominated(state, address, nowMs) : { state, effects: [] };
}

function reached(before: PathState, address: PeerAddress, nowMs: number): PathStep {
  const state = { ...before, reached: [...without(before.reached, address), address].slice(-MAX_REACHED) };
  if (isAt(state.asking?.to ?? null, address)) return moveTo({ ...state, asking: null }, address, nowMs);
  return state.path === null ? moveTo(state, address, nowMs) : { state, effects: [] };
}

function moveTo(state: PathState, address: PeerAddress, nowMs: number): PathStep {
  return { state: { ...state, path: address, checkedMs: nowMs }, effects: [{ type: 'moved', to: address }] };
}

function askWhenDue(state: PathState, nowMs: number): PathStep {
  const { asking } = state;
  if (asking === null || nowMs < asking.nextMs) return { state, effects: [] };
  if (asking.asks >= MAX_ASKS) return { state: { ...state, asking: null }, effects: [] };
  const next = { ...asking, asks: asking.asks + 1, nextMs: nowMs + FIRST_REPEAT_MS * 2 ** asking.asks };
  return { state: { ...state, asking: next, lastAskMs: nowMs }, effects: [{ type: 'ask', to: asking.to }] };
}

function isAt(place: PeerAddress | null, address: PeerAddress): boolean {
  return place !== null && sameAddress(place, address);
}

function without(addresses: readonly PeerAddress[], address: PeerAddress): readonly PeerAddress[] {
  return addresses.filter((known) => !sameAddress(known, address));
}
