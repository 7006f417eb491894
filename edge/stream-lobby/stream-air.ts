/** Which node pushes what is on the air: one that has something to show, and the same one as long as it can. */
import { type Carrier, isOn } from '../carrier.ts';
import { memberPlaces } from './stream-places.ts';
import { flows, isMain, type Member, type StreamState } from './stream-state.ts';
import type { StreamTurn } from './stream-turn.ts';

export function placeAir(turn: StreamTurn): void {
  const { state } = turn;
  if (!state?.live) return;
  const { live } = state;
  const here = live.node;
  const best = bestPlace(state, (place) => turn.policy.around.draining(place.node));
  const stays =
    here !== null && hasSomething(state, here) && (best === null || !isBetter(turn, best, here) || isOn(best, here));
  if (stays || (here === null && best === null)) return;
  turn.set({ live: { ...live, node: best, state: 'starting', error: null } });
  turn.changed(here);
  turn.changed(best);
}

/** One that drains is left as soon as there is another. */
function isBetter({ policy }: StreamTurn, best: Carrier, here: Carrier): boolean {
  return policy.around.draining(here.node) && !policy.around.draining(best.node);
}

/** A node with members, or one to which something comes that can be shown. */
function hasSomething(state: StreamState, place: Carrier): boolean {
  return (
    state.members.some(({ target, phase }) => phase !== 'opening' && isOn(target, place)) ||
    state.members.some((member) => flows(member) && isMain(member) && member.target?.node !== place.node)
  );
}

/** Where most of what goes on air is sent from; of those the one with most members. */
function bestPlace(state: StreamState, draining: (place: Carrier) => boolean): Carrier | null {
  const places = memberPlaces(state).filter((place) =>
    state.members.some((member) => isThere(member) && isOn(member.target, place)),
  );
  const mains = (place: Carrier) =>
    state.members.filter((member) => isMain(member) && isThere(member) && isOn(member.target, place)).length;
  const rank = (place: Carrier) => (draining(place) ? 0 : 1_000_000) + mains(place);
  return places.toSorted((a, b) => rank(b) - rank(a))[0] ?? null;
}

/** One who moves is where the new session is as soon as that has something to show: the push goes along at once, and once. */
function isThere(member: Member): boolean {
  return member.phase !== 'opening' && (member.replaces === null || flows(member));
}
