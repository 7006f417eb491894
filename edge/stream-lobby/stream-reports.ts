/** What a node's words change in a lobby. */

import type { IngressReport, LiveReport } from '../../shared/protocol/control.ts';
import { type Carrier, isOn } from '../carrier.ts';
import { carriersIn } from './stream-places.ts';
import { hasMainTrack, type Member } from './stream-state.ts';
import { endUnfinished } from './stream-successors.ts';
import type { StreamTurn } from './stream-turn.ts';

type Words = { ingress: readonly IngressReport[]; lives: readonly LiveReport[] };

export function takeReports(turn: StreamTurn, { ingress, lives }: Words, carrier: Carrier): void {
  for (const report of ingress) takeIngress(turn, report, carrier);
  for (const report of lives) takeLive(turn, report, carrier);
}

/** All that a node carries for this lobby: what it does not name is not there. */
export function reconcile(turn: StreamTurn, words: Words, carrier: Carrier): void {
  // Restarted: what its former life carried is gone.
  for (const former of carriersIn(turn.state)) {
    if (former.node === carrier.node && former.boot !== carrier.boot) loseNode(turn, former);
  }
  takeReports(turn, words, carrier);
  const carried = new Set(words.ingress.map((report) => report.session));
  for (const member of turn.members) {
    if (member.phase === 'opening' || !isOn(member.target, carrier)) continue;
    if (!carried.has(member.session)) turn.remove(member, false);
  }
}

/**
 * Everybody there is lost. The call of a member that is just being opened finds out by itself, and tries another node. What
 * is on the air goes on from another node that has something to show.
 */
export function loseNode(turn: StreamTurn, carrier: Carrier): void {
  for (const member of turn.members) {
    if (member.phase !== 'opening' && isOn(member.target, carrier)) turn.lose(member);
  }
  const { live = null, audiences = [] } = turn.state ?? {};
  const left = audiences.filter((place) => !isOn(place, carrier));
  if (left.length < audiences.length) turn.set({ audiences: left });
  if (live === null || !isOn(live.node, carrier)) return;
  if (hasMainTrack(turn.state)) turn.set({ live: { ...live, node: null } });
  else turn.set({ live: null, lastLive: { live: live.live, error: 'the media node was lost' } });
  turn.changed(null);
}

function takeIngress(turn: StreamTurn, report: IngressReport, carrier: Carrier): void {
  const member = turn.member(report.session);
  if (member === null || !isOn(member.target, carrier) || member.generation !== report.generation) return;
  if (member.phase === 'opening') {
    const { state: said } = report;
    const early = said === 'closed' || said === 'connected' ? said : member.early;
    if (early !== member.early) turn.update({ ...member, early });
  } else if (report.state === 'closed') {
    if (report.reason === 'peer-closed' || report.reason === 'misconduct') endUnfinished(turn, member);
    turn.remove(member, false);
  } else {
    const known = withReport(member, report, turn.now, turn.policy.memberGraceMs);
    turn.update(known);
    // Other nodes tell those who are there what it says of its tracks: its mute, above all.
    if (known.tracks !== member.tracks) for (const relay of member.relays?.relays ?? []) turn.changed(relay);
    takeListener(turn, report);
  }
}

/** The member as its node sees it now; the same object when that is nothing new. */
function withReport(member: Member, report: IngressReport, now: number, graceMs: number): Member {
  const isSame = JSON.stringify(member.tracks) === JSON.stringify(report.tracks);
  const known = isSame ? member : { ...member, tracks: report.tracks };
  if (report.state === 'connected' && member.phase !== 'live') return { ...known, phase: 'live', deadline: null };
  if (report.state === 'silent' && member.phase !== 'silent') {
    return { ...known, phase: 'silent', deadline: now + graceMs };
  }
  return known;
}

function takeListener(turn: StreamTurn, report: IngressReport): void {
  const member = turn.member(report.session);
  if (!member?.listener) return;
  const { listener } = member;
  const named = report.listener?.session === listener.session ? report.listener : null;
  // One that was never reported may only be too young for this report.
  if (named === null ? listener.seen : named.state === 'closed') turn.unlisten(listener.session, false);
  else if (named !== null && !listener.seen) turn.update({ ...member, listener: { ...listener, seen: true } });
}

function takeLive(turn: StreamTurn, report: LiveReport, carrier: Carrier): void {
  const live = turn.state?.live ?? null;
  if (live === null || live.live !== report.live || !isOn(live.node, carrier)) return;
  const error = report.error === undefined ? null : withoutKey(report.error, live.url);
  if (report.state === 'ended') turn.endLive(error);
  else if (report.state !== live.state || error !== live.error) {
    turn.set({ live: { ...live, state: report.state, error } });
  }
}

/** The node promises not to repeat the key; a promise costs nothing to check. */
function withoutKey(error: string, url: string): string {
  const key = url.slice(url.lastIndexOf('/') + 1);
  return error.replaceAll(url, 'the server').replaceAll(key, '***');
}
