/**
 * Opens a session of whoever sends, publisher or member: a node is chosen and gets the offer; a second one is tried when the
 * first cannot be reached or takes nobody.
 */
import { failed, type Outcome, type Problem } from '../../shared/errors.ts';
import type { NodeId } from '../../shared/ids.ts';
import { REQUEST_DEADLINE_MS } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import { NO_MEDIA_NODE } from '../problems.ts';

/** All that the call may take, with a second node tried; OBS gives up after 8 s. */
const OPENING_BUDGET_MS = 7_000;
/** Only reached when the object died with the call that was opening the session. */
export const OPENING_DEADLINE_MS = 10_000;
/** Only reached when a node forgot to report: it gives up connecting much sooner. */
export const CONNECTING_DEADLINE_MS = 60_000;
/** A third node would be later than clients wait. */
const MAX_NODES_TRIED = 2;
/** Less time than this is not worth another try. */
const MIN_TRY_MS = 1_000;
const ELSEWHERE: ReadonlySet<string> = new Set(['node_unreachable', 'node_full', 'node_draining']);
/** The node may have opened the session before it fell silent. */
const UNCERTAIN: ReadonlySet<string> = new Set(['node_timeout', 'node_error']);

/** What differs between a publisher and a member. */
export interface Opening<Asked, Answer> {
  /** The node to try next, and what it is to be asked. */
  choose(refused: readonly NodeId[]): Promise<Outcome<Asked & Carrier>>;
  ask(target: Asked & Carrier, deadlineMs: number): Promise<Outcome<Answer>>;
  /** The node has answered. A problem: nobody wants the session any more. */
  opened(target: Asked & Carrier, answer: Answer): Problem | null;
  /** `uncertain`: a node may have opened the session all the same. */
  failed(uncertain: boolean): void;
}

/** Another node may take what this one did not. */
export function isElsewherePossible(problem: Problem): boolean {
  return ELSEWHERE.has(problem.code);
}

/** Leaves no trace of the session when it fails. */
export async function openOnSomeNode<Asked, Answer>(opening: Opening<Asked, Answer>): Promise<Outcome<Answer>> {
  const endsAt = Date.now() + OPENING_BUDGET_MS;
  const refused: NodeId[] = [];
  const fail = (problem: Problem, uncertain: boolean) => {
    opening.failed(uncertain);
    // A copy: what came over RPC and is passed on keeps both calls, and so both objects, from ending.
    return failed({ ...problem });
  };
  while (refused.length < MAX_NODES_TRIED) {
    const chosen = await opening.choose(refused);
    if (!chosen.ok) return fail(chosen.problem, refused.length > 0);
    const target = chosen.value;
    const outcome = await opening.ask(target, Math.max(1, Math.min(REQUEST_DEADLINE_MS, endsAt - Date.now())));
    if (outcome.ok) {
      const late = opening.opened(target, outcome.value);
      return late === null ? outcome : failed(late);
    }
    if (!isElsewherePossible(outcome.problem)) return fail(outcome.problem, UNCERTAIN.has(outcome.problem.code));
    refused.push(target.node);
    if (endsAt - Date.now() < MIN_TRY_MS) break;
  }
  return fail(NO_MEDIA_NODE, true);
}
