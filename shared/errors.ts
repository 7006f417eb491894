/**
 * One error type for everything a client may be told. Inside a process it is thrown; across a boundary (Durable Object
 * RPC, control protocol) it travels as the plain value `Problem`, because thrown errors lose their type on the way.
 */
import { z } from 'zod';

export const problemSchema = z.object({
  /** HTTP status that the client gets. */
  status: z.int().min(400).max(599),
  /** Stable machine-readable name, snake_case, e.g. `no_publisher`. */
  code: z.string().regex(/^[a-z0-9_]+$/),
  /** One sentence for people. Never holds secrets, internal ids, or another user's data. */
  detail: z.string(),
  /** Seconds for a `Retry-After` header. */
  retryAfterSeconds: z.int().positive().optional(),
});
export type Problem = z.infer<typeof problemSchema>;

export class ProblemError extends Error {
  readonly status: number;
  readonly code: string;
  readonly detail: string;
  readonly retryAfterSeconds: number | undefined;
  /** Extra response headers, e.g. `Allow`, `Accept-Post`, `WWW-Authenticate`. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    status: number,
    code: string,
    detail: string,
    options: { retryAfterSeconds?: number | undefined; headers?: Record<string, string> } = {},
  ) {
    super(detail);
    this.name = 'ProblemError';
    this.status = status;
    this.code = code;
    this.detail = detail;
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.headers = options.headers ?? {};
  }

  static from(problem: Problem): ProblemError {
    return new ProblemError(problem.status, problem.code, problem.detail, {
      retryAfterSeconds: problem.retryAfterSeconds,
    });
  }

  toProblem(): Problem {
    const problem: Problem = { status: this.status, code: this.code, detail: this.detail };
    if (this.retryAfterSeconds !== undefined) problem.retryAfterSeconds = this.retryAfterSeconds;
    return problem;
  }
}

/** Result of a call over a boundary. */
export type Outcome<T> = { ok: true; value: T } | { ok: false; problem: Problem };

export function succeeded<T>(value: T): Outcome<T> {
  return { ok: true, value };
}

export function failed(problem: Problem): { ok: false; problem: Problem } {
  return { ok: false, problem };
}

/** The value of a successful outcome; throws the problem of a failed one as a `ProblemError`. */
export function unwrap<T>(outcome: Outcome<T>): T {
  if (outcome.ok) return outcome.value;
  throw ProblemError.from(outcome.problem);
}
