/** What is refused in more than one place. */
import { ProblemError } from '../../shared/errors.ts';

export function noSession(): ProblemError {
  return new ProblemError(404, 'no_session', 'no such session');
}

/** @throws ProblemError 409 `stale_revision`: a request from before the state that is known here */
export function refuseWhenStale(known: { revision: number } | undefined, revision: number): void {
  if (known !== undefined && revision < known.revision) {
    throw new ProblemError(409, 'stale_revision', 'a newer state of this lobby is known');
  }
}
