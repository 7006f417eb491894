/**
 * Which offers of the signal channel are applied, and in what order: the member's half of the negotiation as a pure
 * machine. Offers of one WHEP session are numbered from 1; number 0 went over HTTP. The server has one offer in flight and
 * repeats it while no answer comes, under another message id.
 */

interface Offer {
  id: number;
  number: number;
  sdp: string;
}

export interface AnswerMachine {
  /** The number of the last offer that was answered, and that answer: what repeats it gets the same one again. */
  readonly answered: number;
  readonly answer: string | null;
  /** Being applied. */
  readonly working: Offer | null;
  /** Came while another one was being applied; only the newest counts. */
  readonly waiting: Offer | null;
}

export type AnswerEvent =
  | ({ kind: 'offer' } & Offer)
  /** The offer at work was applied. */
  | { kind: 'applied'; answer: string }
  /** The offer at work was refused by the browser; a repetition is tried again. */
  | { kind: 'refused' };

export type AnswerEffect =
  | { kind: 'apply'; number: number; sdp: string }
  | { kind: 'send'; id: number; number: number; sdp: string };

export interface AnswerStep {
  state: AnswerMachine;
  effects: AnswerEffect[];
}

export const INITIAL_ANSWERS: AnswerMachine = { answered: 0, answer: null, working: null, waiting: null };

export function step(state: AnswerMachine, event: AnswerEvent): AnswerStep {
  switch (event.kind) {
    case 'offer':
      return stepOffer(state, { id: event.id, number: event.number, sdp: event.sdp });
    case 'applied': {
      if (state.working === null) return { state, effects: [] };
      const { id, number } = state.working;
      const next = proceed({ ...state, answered: number, answer: event.answer, working: null });
      return { ...next, effects: [{ kind: 'send', id, number, sdp: event.answer }, ...next.effects] };
    }
    case 'refused':
      return proceed({ ...state, working: null });
  }
}

function stepOffer(state: AnswerMachine, offer: Offer): AnswerStep {
  const { answered, answer, working, waiting } = state;
  if (offer.number === answered && answer !== null && working === null) {
    return { state, effects: [{ kind: 'send', id: offer.id, number: answered, sdp: answer }] };
  }
  if (offer.number <= answered) return { state, effects: [] };
  if (working === null) return proceed({ ...state, waiting: offer });
  // A repetition of the one at work: its answer goes to the newer message.
  if (offer.number === working.number)
    return { state: { ...state, working: { ...working, id: offer.id } }, effects: [] };
  const stale = offer.number < working.number || (waiting !== null && offer.number < waiting.number);
  return { state: stale ? state : { ...state, waiting: offer }, effects: [] };
}

function proceed(state: AnswerMachine): AnswerStep {
  const { waiting } = state;
  if (waiting === null) return { state, effects: [] };
  return {
    state: { ...state, working: waiting, waiting: null },
    effects: [{ kind: 'apply', number: waiting.number, sdp: waiting.sdp }],
  };
}
