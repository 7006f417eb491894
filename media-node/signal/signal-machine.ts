/**
 * What one member and the node say to each other on the signal channel, as a pure function. The member's listener
 * (egress) is always offered to, never asked for an offer:
 *
 *   listener:   none ──offered over HTTP──► awaiting 0 ──answered──► settled ──tracks changed──► awaiting 1 ──answered──► …
 *
 * One offer is in flight at a time; what changes meanwhile is in the next one, whose number is one higher. Only the
 * answer with the number of the offer in flight counts. An offer without an answer is sent again, under its number.
 */

/** An offer that nobody answers is repeated this often: within 10 s, looked at once a second. */
export const RESEND_MS = 9_000;

export interface SignalState {
  /** There is a channel to write on. */
  open: boolean;
  /** Of the next message of ours. */
  nextId: number;
  listener: Negotiation | null;
  /** The member shall leave for another node. */
  moving: boolean;
  /** What the member sent that costs more than it is worth, when there is much of it. */
  noise: NoiseCounts;
}

export interface NoiseCounts {
  /** Not a message of this protocol. */
  malformed: number;
  /** Answers to other offers than the one in flight: late, early, doubled. */
  stale: number;
  /** Offers: a member's own tracks never change (it leaves and comes back for that). */
  offers: number;
  /** Answers whose SDP does not fit the offer. */
  refused: number;
  /** Not ignored: each costs a message to everybody else. */
  mutes: number;
}

interface Negotiation {
  /** Of the newest offer. */
  number: number;
  awaiting: 'nothing' | 'http' | OfferInFlight;
  /** The tracks that the listener should have may differ from those of the newest offer. */
  stale: boolean;
}

interface OfferInFlight {
  id: number;
  sdp: string;
  /** When it was last sent; null: it waits for a channel. */
  sentMs: number | null;
}

export type SignalEvent =
  /** Offer 0 went out over HTTP. */
  | { type: 'listener-offered' }
  /** Its answer came over HTTP, or the listener began with an offer of its own. */
  | { type: 'listener-settled' }
  | { type: 'listener-closed' }
  /** A channel opened; it takes the place of an earlier one. */
  | { type: 'channel-opened' }
  | { type: 'channel-closed' }
  /** The tracks that the listener should have changed. */
  | { type: 'tracks-changed' }
  /** Follows `make-offer`; null: the listener has what it should have. */
  | { type: 'offer-made'; sdp: string | null }
  /** Follows `apply-answer`. */
  | { type: 'answer-applied'; accepted: boolean }
  /** A track that the listener was offered as `mid` was muted or unmuted. */
  | { type: 'track-muted'; mid: string; muted: boolean }
  | { type: 'answer-received'; number: number; sdp: string }
  /** `mid` is that of the member's own track. */
  | { type: 'mute-received'; mid: string; muted: boolean }
  | { type: 'offer-received' }
  | { type: 'malformed-received' }
  /** The node is about to leave. */
  | { type: 'move-asked' }
  | { type: 'time-passed' };

export type SignalEffect =
  /** Make the next offer and say `offer-made`, before any other event. */
  | { type: 'make-offer' }
  | { type: 'send-offer'; id: number; number: number; sdp: string }
  /** Take this answer to the offer in flight and say `answer-applied`, before any other event. */
  | { type: 'apply-answer'; sdp: string }
  | { type: 'send-mute'; id: number; mid: string; muted: boolean }
  /** "Make new sessions, then leave these." */
  | { type: 'send-reconnect'; id: number }
  /** Say `track-muted` for every track that the listener was offered: what was said before is lost or overruled. */
  | { type: 'repeat-mutes' }
  /** The member mutes or unmutes a track of its own. */
  | { type: 'mute'; mid: string; muted: boolean };

export interface SignalStep {
  state: SignalState;
  effects: SignalEffect[];
}

export function openSignal(): SignalState {
  return {
    open: false,
    nextId: 1,
    listener: null,
    moving: false,
    noise: { malformed: 0, stale: 0, offers: 0, refused: 0, mutes: 0 },
  };
}

export function step(state: SignalState, event: SignalEvent, nowMs: number): SignalStep {
  switch (event.type) {
    case 'listener-offered':
      return unchanged({ ...state, listener: { number: 0, awaiting: 'http', stale: true } });
    case 'listener-settled': {
      // A listener that began with its own offer knows nothing of what came since.
      const stale = true;
      return offerWhenDue({ ...state, listener: { number: 0, awaiting: 'nothing', stale } });
    }
    case 'listener-closed':
      return unchanged({ ...state, listener: null });
    case 'channel-opened':
      return askToMove(channelOpened(state, nowMs));
    case 'move-asked':
      return askToMove(unchanged({ ...state, moving: true }));
    case 'channel-closed':
      return unchanged({ ...state, open: false });
    case 'tracks-changed':
      if (state.listener === null) return unchanged(state);
      return offerWhenDue({ ...state, listener: { ...state.listener, stale: true } });
    case 'offer-made':
      return offerMade(state, event.sdp, nowMs);
    case 'answer-received':
      return answerReceived(state, event);
    case 'answer-applied':
      return answerApplied(state, event.accepted);
    case 'track-muted': {
      if (!state.open || state.listener === null) return unchanged(state);
      const { mid, muted } = event;
      const effect: SignalEffect = { type: 'send-mute', id: state.nextId, mid, muted };
      return { state: { ...state, nextId: state.nextId + 1 }, effects: [effect] };
    }
    case 'mute-received':
      return { state: count(state, 'mutes'), effects: [{ type: 'mute', mid: event.mid, muted: event.muted }] };
    case 'offer-received':
      return ignore(state, 'offers');
    case 'malformed-received':
      return ignore(state, 'malformed');
    case 'time-passed':
      return resendWhenDue(state, nowMs);
  }
}

function channelOpened(state: SignalState, nowMs: number): SignalStep {
  const open = { ...state, open: true };
  const pending = offerInFlight(open);
  if (pending !== null) return sendAgain(open, pending, nowMs);
  const { state: next, effects } = offerWhenDue(open);
  return { state: next, effects: state.listener === null ? effects : [...effects, { type: 'repeat-mutes' }] };
}

function askToMove({ state, effects }: SignalStep): SignalStep {
  if (!state.open || !state.moving) return { state, effects };
  const effect: SignalEffect = { type: 'send-reconnect', id: state.nextId };
  return { state: { ...state, nextId: state.nextId + 1 }, effects: [...effects, effect] };
}

function offerWhenDue(state: SignalState): SignalStep {
  const { listener } = state;
  if (!state.open || listener === null || listener.awaiting !== 'nothing' || !listener.stale) return unchanged(state);
  return { state: { ...state, listener: { ...listener, stale: false } }, effects: [{ type: 'make-offer' }] };
}

function offerMade(state: SignalState, sdp: string | null, nowMs: number): SignalStep {
  const { listener } = state;
  if (listener === null || sdp === null) return unchanged(state);
  const pending: OfferInFlight = { id: state.nextId, sdp, sentMs: null };
  const number = listener.number + 1;
  return send({ ...state, nextId: state.nextId + 1, listener: { ...listener, number } }, pending, nowMs);
}

/** Sends the offer in flight (again) under its number; without a channel it waits. */
function send(state: SignalState, pending: OfferInFlight, nowMs: number): SignalStep {
  const { listener } = state;
  if (listener === null) return unchanged(state);
  const awaiting = { ...pending, sentMs: state.open ? nowMs : null };
  const { id, sdp } = pending;
  const effects: SignalEffect[] = state.open ? [{ type: 'send-offer', id, number: listener.number, sdp }] : [];
  return { state: { ...state, listener: { ...listener, awaiting } }, effects };
}

function resendWhenDue(state: SignalState, nowMs: number): SignalStep {
  const pending = offerInFlight(state);
  const isDue = pending !== null && state.open && (pending.sentMs === null || nowMs - pending.sentMs >= RESEND_MS);
  return isDue ? sendAgain(state, pending, nowMs) : unchanged(state);
}

/** The offer says how tracks were muted when it was made: what was said since has to follow it once more. */
function sendAgain(state: SignalState, pending: OfferInFlight, nowMs: number): SignalStep {
  const { state: next, effects } = send(state, pending, nowMs);
  return { state: next, effects: [...effects, { type: 'repeat-mutes' }] };
}

function answerReceived(state: SignalState, { number, sdp }: { number: number; sdp: string }): SignalStep {
  const isAwaited = offerInFlight(state) !== null && state.listener?.number === number;
  return isAwaited ? { state, effects: [{ type: 'apply-answer', sdp }] } : ignore(state, 'stale');
}

function answerApplied(state: SignalState, accepted: boolean): SignalStep {
  // The offer stays in flight: the member may send a better answer, or gets it once more.
  if (!accepted) return ignore(state, 'refused');
  const { listener } = state;
  if (listener === null) return unchanged(state);
  return offerWhenDue({ ...state, listener: { ...listener, awaiting: 'nothing' } });
}

function offerInFlight({ listener }: SignalState): OfferInFlight | null {
  return listener === null || typeof listener.awaiting === 'string' ? null : listener.awaiting;
}

function ignore(state: SignalState, what: keyof NoiseCounts): SignalStep {
  return unchanged(count(state, what));
}

function count(state: SignalState, what: keyof NoiseCounts): SignalState {
  return { ...state, noise: { ...state.noise, [what]: state.noise[what] + 1 } };
}

function unchanged(state: SignalState): SignalStep {
  return { state, effects: [] };
}
