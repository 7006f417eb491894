/**
 * Every refusal as RFC 9457 `application/problem+json`, with an extra member `error` that older clients show to their
 * users (MediaMTX' pages read it). What was not foreseen is logged and told to nobody.
 */
import type { HTTPResponseError } from 'hono/types';
import { ProblemError } from '../../shared/errors.ts';
import { MisconfiguredError } from '../env.ts';
import type { AppContext } from './context.ts';

const TITLES: Readonly<Record<number, string>> = {
  400: 'Bad Request',
  401: 'Unauthorized',
  403: 'Forbidden',
  404: 'Not Found',
  405: 'Method Not Allowed',
  406: 'Not Acceptable',
  409: 'Conflict',
  410: 'Gone',
  411: 'Length Required',
  412: 'Precondition Failed',
  413: 'Content Too Large',
  415: 'Unsupported Media Type',
  416: 'Range Not Satisfiable',
  422: 'Unprocessable Content',
  426: 'Upgrade Required',
  428: 'Precondition Required',
  429: 'Too Many Requests',
  500: 'Internal Server Error',
  501: 'Not Implemented',
  502: 'Bad Gateway',
  503: 'Service Unavailable',
  504: 'Gateway Timeout',
};

const BUSY_RETRY_SECONDS = 1;

export function problemResponse(problem: ProblemError): Response {
  const { status, code, detail } = problem;
  const title = TITLES[status] ?? (status < 500 ? 'Bad Request' : 'Internal Server Error');
  const headers = new Headers(problem.headers);
  headers.set('Content-Type', 'application/problem+json');
  headers.set('Cache-Control', 'no-store');
  if (problem.retryAfterSeconds !== undefined) headers.set('Retry-After', String(problem.retryAfterSeconds));
  const body = { type: 'about:blank', title, status, code, detail, error: detail };
  return new Response(JSON.stringify(body), { status, headers });
}

/** Hono's `onError`: the one place where an exception becomes a response. */
export function answerError(error: Error | HTTPResponseError, _c: AppContext): Response {
  return problemResponse(toProblemError(error));
}

export function toProblemError(error: unknown): ProblemError {
  if (error instanceof ProblemError) return error;
  if (error instanceof MisconfiguredError) {
    console.error(error.message);
    return new ProblemError(500, 'misconfigured', 'the server is misconfigured');
  }
  console.error('unexpected error', error);
  if (isPassing(error)) {
    return new ProblemError(503, 'busy', 'try again in a moment', { retryAfterSeconds: BUSY_RETRY_SECONDS });
  }
  return new ProblemError(500, 'internal', 'something went wrong on the server');
}

/** The platform marks errors of Durable Object calls that another try may not meet (a deploy, a move, an overload). */
function isPassing(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false;
  const marks = error as { retryable?: unknown; overloaded?: unknown; durableObjectReset?: unknown };
  return marks.retryable === true || marks.overloaded === true || marks.durableObjectReset === true;
}

/** False when a check refuses; whatever else goes wrong is thrown on. */
export function whetherAllowed(check: Promise<unknown>): Promise<boolean> {
  return check.then(
    () => true,
    (error: unknown) => {
      if (error instanceof ProblemError) return false;
      throw error;
    },
  );
}
