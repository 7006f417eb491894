/** What a node's words change in a room. */
import type { IngressReport, TrackReport } from '../../shared/protocol/control.ts';
import { type Carrier, isOn } from '../carrier.ts';
import { isOver, type Publisher } from './lobby-state.ts';
import type { LobbyTurn } from './lobby-turn.ts';

export function takeReports(turn: LobbyTurn, ingress: readonly IngressReport[], carrier: Carrier): void {
  for (const report of ingress) takeReport(turn, report, carrier);
}

/** All that a node carries for this room: what it does not name is not there. */
export function reconcile(turn: LobbyTurn, ingress: readonly IngressReport[], carrier: Carrier): void {
  const publisher = turn.state?.publisher;
  takeReports(turn, ingress, carrier);
  const { successor } = turn.state ?? {};
  if (successor?.node === carrier.node) {
    if (successor.boot !== carrier.boot) turn.set({ successor: null });
    else if (!ingress.some(({ session }) => session === successor.session)) turn.dropSuccessor(successor);
  }
  if (!publisher || publisher.node !== carrier.node) return;
  // Restarted: the media of the viewers there is gone as well, so there is nothing to wait for.
  if (publisher.boot !== carrier.boot) loseNode(turn, publisher);
  else if (!ingress.some((report) => report.session === publisher.session)) {
    if (turn.state?.publisher === publisher) turn.lose(publisher);
  }
}

/** What it carried is gone with it. The room is free at once, and viewers on other nodes wait for the next publisher. */
export function loseNode(turn: LobbyTurn, carrier: Carrier): void {
  const { publisher, successor } = turn.state ?? {};
  if (successor && isOn(successor, carrier)) turn.set({ successor: null });
  if (!publisher || !isOn(publisher, carrier) || publisher.gone) return;
  const waiting = turn.state?.tree?.relays.some(({ inUse }) => inUse) ?? false;
  if (!waiting) turn.set({ publisher: null });
  else if (publisher.phase === 'lost') turn.set({ publisher: { ...publisher, gone: true } });
  else turn.lose({ ...publisher, watched: true, gone: true });
}

/** Whose word it is: of the one that is being opened, of the one that is to take over, or of the publisher. Else it is late. */
function takeReport(turn: LobbyTurn, report: IngressReport, carrier: Carrier): void {
  const { publisher, opening, successor } = turn.state ?? {};
  const isOf = (one: { session: string; generation: number }) =>
    one.session === report.session && one.generation === report.generation;
  if (opening?.target && isOf(opening)) {
    const early = report.state === 'closed' || report.state === 'connected' ? report.state : opening.early;
    if (isOn(opening.target, carrier) && early !== opening.early) turn.set({ opening: { ...opening, early } });
  } else if (successor && isOf(successor)) {
    if (isOn(successor, carrier)) takeSuccessor(turn, successor, report);
  } else if (publisher && isOf(publisher) && isOn(publisher, carrier)) {
    takePublisher(turn, publisher, report);
  }
}

function takeSuccessor(turn: LobbyTurn, successor: Publisher, { state: said, tracks }: IngressReport): void {
  if (said === 'connected') turn.promote({ ...successor, phase: 'live', deadline: null, tracks }, true);
  else if (said !== 'connecting') turn.dropSuccessor(successor);
}

function takePublisher(turn: LobbyTurn, publisher: Publisher, { state: said, reason, tracks }: IngressReport): void {
  if (said === 'silent' || said === 'closed') {
    // Only a connected peer can fall silent or take its leave, even if the word of its connecting was skipped.
    const wasConnected = said === 'silent' || reason === 'peer-closed' || reason === 'silence';
    turn.lose(wasConnected ? { ...publisher, watched: true } : publisher);
    return;
  }
  // Over, and only still here because a successor is being opened.
  if (isOver(publisher, turn.now)) return;
  // Its node was only out of reach.
  const here = publisher.gone ? { ...publisher, gone: false } : publisher;
  const known = sameTracks(here.tracks, tracks) ? here : { ...here, tracks };
  if (said === 'connected' && publisher.phase !== 'live') {
    turn.set({ publisher: { ...known, phase: 'live', deadline: null, watched: true } });
  } else if (known !== publisher) {
    turn.set({ publisher: known });
  }
}

function sameTracks(a: readonly TrackReport[], b: readonly TrackReport[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
