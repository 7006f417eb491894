/** What went wrong between a client and the server, in one shape for every call. */
export class ClientError extends Error {
  /** HTTP status of the refusal; null when no response came or the trouble is on this side. */
  readonly status: number | null;
  /** Machine-readable name: the server's `code`, or one of ours (`network`, `no_path`, `ended`, `unsupported`, …). */
  readonly code: string;
  /** How long the server asked to wait (`Retry-After`), in ms; null when it did not say. */
  readonly retryAfterMs: number | null;

  constructor(message: string, options: { status?: number | null; code: string; retryAfterMs?: number | null }) {
    super(message);
    this.name = 'ClientError';
    this.status = options.status ?? null;
    this.code = options.code;
    this.retryAfterMs = options.retryAfterMs ?? null;
  }

  /** The refusal in a response: its `error` text (RFC 9457 `detail`/`title` as a second choice), code and Retry-After. */
  static async fromResponse(response: Response, now: number = Date.now()): Promise<ClientError> {
    const body = await readProblem(response);
    return new ClientError(body.message ?? describeStatus(response.status), {
      status: response.status,
      code: body.code ?? `http_${response.status}`,
      retryAfterMs: parseRetryAfter(response.headers.get('retry-after'), now),
    });
  }

  /** Wraps whatever was thrown; fetch throws `TypeError` for a dead network and `TimeoutError` for a late answer. */
  static fromUnknown(thrown: unknown): ClientError {
    if (thrown instanceof ClientError) return thrown;
    if (thrown instanceof DOMException && thrown.name === 'TimeoutError') {
      return new ClientError('The server did not answer in time', { code: 'timeout' });
    }
    if (thrown instanceof TypeError) return new ClientError('The server cannot be reached', { code: 'network' });
    return new ClientError(thrown instanceof Error ? thrown.message : String(thrown), { code: 'internal' });
  }
}

const MAX_MESSAGE_LENGTH = 300;

async function readProblem(response: Response): Promise<{ message?: string; code?: string }> {
  const text = await response.text().catch(() => '');
  if (!/\bjson\b/i.test(response.headers.get('content-type') ?? '')) {
    // Proxies answer with HTML pages; a short plain text is worth showing, markup is not.
    const plain = text.trim();
    return plain !== '' && plain.length <= MAX_MESSAGE_LENGTH && !plain.startsWith('<') ? { message: plain } : {};
  }
  try {
    const body: unknown = JSON.parse(text);
    if (typeof body !== 'object' || body === null) return {};
    const record = body as Record<string, unknown>;
    const message = [record.error, record.detail, record.title].find((value) => typeof value === 'string');
    return {
      ...(typeof message === 'string' ? { message: message.slice(0, MAX_MESSAGE_LENGTH) } : {}),
      ...(typeof record.code === 'string' ? { code: record.code } : {}),
    };
  } catch {
    return {};
  }
}

/** `Retry-After` in ms from now (RFC 9110 §10.2.3: delta-seconds or a date); null when absent or unreadable. */
export function parseRetryAfter(value: string | null, now: number): number | null {
  if (value === null) return null;
  const text = value.trim();
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? null : Math.max(0, date - now);
}

function describeStatus(status: number): string {
  const known: Record<number, string> = {
    400: 'The server did not understand the request',
    401: 'This room needs a token',
    403: 'The token does not allow this',
    404: 'Nothing is live here',
    409: 'Somebody else is live in this room',
    413: 'The offer is too large for the server',
    422: 'The server cannot handle what this browser offers',
    429: 'Too many requests',
    503: 'No media node is available',
  };
  return known[status] ?? `The server answered with status ${status}`;
}
