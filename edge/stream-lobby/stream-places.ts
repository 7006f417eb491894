/** Where the people of a lobby are, and what they want there: read off its state. */

import type { NodeId } from '../../shared/ids.ts';
import { type Carrier, distinctCarriers, isOn } from '../carrier.ts';
import { relayOn } from '../relay/relay-tree.ts';
import { flows, isMain, lineageOf, type Member, type StreamState, treeOf } from './stream-state.ts';

/** Every life of a node that the lobby has to do with, once. */
export function carriersIn(state: StreamState | null): Carrier[] {
  if (state === null) return [];
  const { members, audiences, live } = state;
  const named = members.flatMap(({ target, relays }) => [target, ...(relays?.relays ?? [])]);
  return distinctCarriers([...named, ...audiences, live?.node ?? null]);
}

/** Nodes of members, those with most of them first; one that is being opened counts for less than one that is there. */
export function memberPlaces(state: StreamState | null): Carrier[] {
  const members = state?.members ?? [];
  const weightOf = (place: Carrier) =>
    members.reduce((sum, { target, phase }) => sum + (isOn(target, place) ? (phase === 'opening' ? 1 : 1_000) : 0), 0);
  return distinctCarriers(members.map(({ target }) => target)).toSorted((a, b) => weightOf(b) - weightOf(a));
}

/** Nodes, other than its own, where somebody wants the tracks of this member. */
export function placesWanting(state: StreamState, source: Member): Carrier[] {
  const { target } = source;
  if (target === null || !flows(source)) return [];
  const { session } = lineageOf(source);
  // Nobody gets their own tracks, by whichever of their sessions.
  const others = state.members.filter((member) => lineageOf(member).session !== session);
  const listening = others.map((member) =>
    member.listener !== null && member.phase !== 'opening' ? member.target : null,
  );
  const showing = isMain(source) ? [...state.audiences, state.live?.node ?? null] : [];
  return distinctCarriers([...listening, ...showing]).filter(({ node }) => node !== target.node);
}

/** Nodes that have all that the audience gets, or have been told to get it; those that send most of it first. */
export function showingPlaces(state: StreamState | null): Carrier[] {
  if (state === null) return [];
  const senders = mainSenders(state);
  const countOn = (place: Carrier) => senders.filter(({ target }) => isOn(target, place)).length;
  const own = distinctCarriers(senders.map(({ target }) => target)).toSorted((a, b) => countOn(b) - countOn(a));
  const others = senders.flatMap(({ relays }) => relays?.relays ?? []).filter(({ phase }) => phase !== 'waiting');
  return distinctCarriers([...own, ...others]);
}

/** Somebody is there who sends what goes on air. */
export function isSentFrom(state: StreamState | null, place: Carrier): boolean {
  return state !== null && mainSenders(state).some(({ target }) => isOn(target, place));
}

/** At least something of what goes on air is there. */
export function canBeWatchedOn(state: StreamState | null, place: Carrier): boolean {
  return state !== null && mainSenders(state).some((member) => hasTracksOf(member, place));
}

/** All that goes on air is there. */
export function showsAllOn(state: StreamState | null, place: Carrier): boolean {
  return state !== null && mainSenders(state).every((member) => hasTracksOf(member, place));
}

/** It was tried more than once to bring something there, and nothing has ever come. */
export function isHopeless(state: StreamState | null, place: Carrier): boolean {
  const relays = state === null ? [] : mainSenders(state).map((member) => relayOn(treeOf(member), place));
  return relays.some((relay) => relay !== null && relay.held === null && relay.failures > 1);
}

/**
 * Members whose tracks go on air. Those who are just connecting count where nobody else is there; one who moves counts by the
 * session that is to be left.
 */
function mainSenders(state: StreamState): Member[] {
  const senders = state.members.filter(
    (member) => member.phase !== 'opening' && member.replaces === null && isMain(member),
  );
  const flowing = senders.filter(flows);
  return flowing.length > 0 ? flowing : senders;
}

function hasTracksOf(member: Member, place: Carrier): boolean {
  return isOn(member.target, place) || relayOn(treeOf(member), place)?.phase === 'connected';
}

export function nameOf({ node }: { node: NodeId }): NodeId {
  return node;
}
