/**
 * The controlling ICE agent (RFC 8445) that dials a lite one, as a pure machine: checks all of the peer's candidates,
 * nominates the first pair that works, and keeps asking for consent to send (RFC 7675), which keeps NATs and firewalls
 * open as well. Random numbers come with the events; transaction ids are the shell's, who knows them by check number.
 */

/** A candidate of the peer, reached from our socket of its address family. */
export interface DialledAddress {
  readonly address: string;
  readonly port: number;
  readonly family: 4 | 6;
}

/** A new pair is begun this often (Ta, RFC 8445 §14.2). */
const PACE_MS = 50;
/** An unanswered check is repeated after this, then after twice that, … */
const FIRST_REPEAT_MS = 100;
const MAX_REPEAT_MS = 1_600;
/** A pair that worked and whose nomination is not answered makes room for another. */
const MAX_NOMINATIONS = 6;
/** RFC 7675 §5.1: 5 s, give or take a fifth. */
const CONSENT_INTERVAL_MS = 5_000;
const CONSENT_SPREAD = 0.4;
/** Without an answer for this long nothing may be sent any more (RFC 7675 §5.1). */
export const CONSENT_EXPIRY_MS = 30_000;
/** Nothing was heard for this long: look whether the peer is still there, … */
export const PROBE_AFTER_MS = 1_000;
/** … this often. */
const PROBE_INTERVAL_MS = 500;
/** Answers are taken for this long. */
const MAX_ANSWER_MS = 5_000;

interface Pair {
  readonly to: DialledAddress;
  /** `nominating` once it was the first to work. */
  readonly state: 'frozen' | 'checking' | 'working' | 'nominating' | 'failed';
  readonly nextMs: number;
  readonly repeatMs: number;
  /** Checks that nominate, so far. */
  readonly nominations: number;
}

interface SentCheck {
  readonly number: number;
  readonly pair: number;
  readonly nominates: boolean;
  readonly sentMs: number;
}

export interface ControllingState {
  /** In order of preference. */
  readonly pairs: readonly Pair[];
  /** Where media goes. */
  readonly nominated: number | null;
  readonly consent: { readonly givenMs: number; readonly nextMs: number } | null;
  readonly sent: readonly SentCheck[];
  readonly nextNumber: number;
  readonly nextPairMs: number;
}

export type ControllingEvent =
  /** `heardMs`: when anything authenticated came last. `random`: 0 ≤ x < 1. Say it every 50 ms at least. */
  | { type: 'time-passed'; heardMs: number; random: number }
  /** A signed success to check `number` came from this address. */
  | { type: 'answered'; number: number; address: string; port: number; random: number };

export type ControllingEffect =
  | { type: 'check'; number: number; to: DialledAddress; useCandidate: boolean }
  /** The peer answers there: DTLS may begin, and what comes from there is the peer's. */
  | { type: 'working'; to: DialledAddress }
  /** Media goes there from now on. */
  | { type: 'nominated'; to: DialledAddress }
  /** The check with this number is forgotten. */
  | { type: 'forgotten'; number: number }
  /** The peer does not consent any more: nothing may be sent. */
  | { type: 'consent-lost' };

export interface ControllingStep {
  state: ControllingState;
  effects: ControllingEffect[];
}

/** @param candidates in order of preference */
export function openControlling(candidates: readonly DialledAddress[], nowMs: number): ControllingState {
  const pairs = candidates.map((to): Pair => {
    return { to, state: 'frozen', nextMs: nowMs, repeatMs: FIRST_REPEAT_MS, nominations: 0 };
  });
  return { pairs, nominated: null, consent: null, sent: [], nextNumber: 1, nextPairMs: nowMs };
}

export function step(state: ControllingState, event: ControllingEvent, nowMs: number): ControllingStep {
  return event.type === 'answered' ? answered(state, event, nowMs) : timePassed(state, event, nowMs);
}

function timePassed(
  before: ControllingState,
  event: Extract<ControllingEvent, { type: 'time-passed' }>,
  nowMs: number,
): ControllingStep {
  const { state, effects } = forgetOld(before, nowMs);
  if (state.nominated === null) return continueWith(checkPairs(state, nowMs), effects);
  const { consent } = state;
  if (consent === null) return { state, effects };
  if (nowMs - consent.givenMs >= CONSENT_EXPIRY_MS) {
    return { state: { ...state, consent: null }, effects: [...effects, { type: 'consent-lost' }] };
  }
  const silent = nowMs - event.heardMs >= PROBE_AFTER_MS;
  // A silence that begins does not wait for a consent check that is seconds away.
  const dueMs = silent ? Math.min(consent.nextMs, nowMs) : consent.nextMs;
  const lastMs = state.sent.findLast(({ pair }) => pair === state.nominated)?.sentMs ?? Number.NEGATIVE_INFINITY;
  if (nowMs < dueMs || nowMs - lastMs < PROBE_INTERVAL_MS) return { state, effects };
  const next = { ...state, consent: { ...consent, nextMs: nowMs + consentIntervalMs(event.random) } };
  return continueWith(send(next, state.nominated, false, nowMs), effects);
}

/** Begins with the next pair when it is time, and repeats what was not answered. */
function checkPairs(state: ControllingState, nowMs: number): ControllingStep {
  let step: ControllingStep = { state, effects: [] };
  const frozen = state.pairs.findIndex((pair) => pair.state === 'frozen');
  if (frozen >= 0 && nowMs >= state.nextPairMs) {
    step.state = { ...withPair(state, frozen, { state: 'checking', nextMs: nowMs }), nextPairMs: nowMs + PACE_MS };
  }
  for (const [index, pair] of step.state.pairs.entries()) {
    if (nowMs < pair.nextMs || (pair.state !== 'checking' && pair.state !== 'nominating')) continue;
    step =
      pair.state === 'nominating' && pair.nominations >= MAX_NOMINATIONS
        ? continueWith(nominateAnother(withPair(step.state, index, { state: 'failed' }), nowMs), step.effects)
        : continueWith(send(step.state, index, pair.state === 'nominating', nowMs), step.effects);
  }
  return step;
}

function answered(
  before: ControllingState,
  event: Extract<ControllingEvent, { type: 'answered' }>,
  nowMs: number,
): ControllingStep {
  const check = before.sent.find(({ number }) => number === event.number);
  const pair = check === undefined ? undefined : before.pairs[check.pair];
  // Answers must come from where the check went (RFC 8445 §7.2.5.2.1).
  if (check === undefined || pair === undefined || pair.to.address !== event.address || pair.to.port !== event.port) {
    return { state: before, effects: [] };
  }
  const sent = before.sent.filter(({ number }) => number !== event.number);
  let state: ControllingState = { ...before, sent };
  const effects: ControllingEffect[] = [];
  if (pair.state === 'checking') {
    state = withPair(state, check.pair, { state: 'working' });
    effects.push({ type: 'working', to: pair.to });
  }
  if (state.nominated === check.pair && state.consent !== null) {
    return { state: { ...state, consent: { ...state.consent, givenMs: nowMs } }, effects };
  }
  if (state.nominated !== null) return { state, effects };
  if (check.nominates) {
    const consent = { givenMs: nowMs, nextMs: nowMs + consentIntervalMs(event.random) };
    effects.push({ type: 'nominated', to: pair.to });
    return { state: { ...state, nominated: check.pair, consent }, effects };
  }
  return continueWith(nominateAnother(state, nowMs), effects);
}

/** Nominates the most preferred pair that works, unless one is being nominated. */
function nominateAnother(state: ControllingState, nowMs: number): ControllingStep {
  if (state.pairs.some((pair) => pair.state === 'nominating')) return { state, effects: [] };
  const index = state.pairs.findIndex((pair) => pair.state === 'working');
  if (index < 0) return { state, effects: [] };
  return send(withPair(state, index, { state: 'nominating', repeatMs: FIRST_REPEAT_MS }), index, true, nowMs);
}

function send(state: ControllingState, index: number, nominates: boolean, nowMs: number): ControllingStep {
  const pair = state.pairs[index];
  if (pair === undefined) return { state, effects: [] };
  const number = state.nextNumber;
  const next = withPair(state, index, {
    nextMs: nowMs + pair.repeatMs,
    repeatMs: Math.min(pair.repeatMs * 2, MAX_REPEAT_MS),
    nominations: pair.nominations + (nominates ? 1 : 0),
  });
  const sent = [...state.sent, { number, pair: index, nominates, sentMs: nowMs }];
  return {
    state: { ...next, sent, nextNumber: number + 1 },
    // Those for consent say it, too: a NAT may have given us another address meanwhile, which a lite agent would not follow.
    effects: [{ type: 'check', number, to: pair.to, useCandidate: nominates || index === state.nominated }],
  };
}

function forgetOld(state: ControllingState, nowMs: number): ControllingStep {
  const old = state.sent.filter(({ sentMs }) => nowMs - sentMs >= MAX_ANSWER_MS);
  if (old.length === 0) return { state, effects: [] };
  return {
    state: { ...state, sent: state.sent.filter((check) => !old.includes(check)) },
    effects: old.map(({ number }) => ({ type: 'forgotten', number })),
  };
}

function consentIntervalMs(random: number): number {
  return CONSENT_INTERVAL_MS * (1 - CONSENT_SPREAD / 2 + CONSENT_SPREAD * random);
}

function withPair(state: ControllingState, index: number, change: Partial<Pair>): ControllingState {
  return { ...state, pairs: state.pairs.map((pair, at) => (at === index ? { ...pair, ...change } : pair)) };
}

function continueWith(step: ControllingStep, before: readonly ControllingEffect[]): ControllingStep {
  return { state: step.state, effects: [...before, ...step.effects] };
}
