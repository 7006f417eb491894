/** Failures in the words of whoever has to mend them. */
import { z } from 'zod';
import { SignallingError } from '../support/client/signalling.ts';

const MAX_BODY_CHARACTERS = 200;

const MEANINGS: Readonly<Record<number, string>> = {
  401: 'the server wants a token, or another one (--token)',
  403: 'this token does not allow it (--token)',
  404: 'nobody publishes there, or the address is wrong',
  405: 'the address is no WHIP or WHEP endpoint',
  406: 'the server takes none of the offered codecs (--codec), or nobody publishes there',
  409: 'nobody publishes there yet, or somebody else does already',
  415: 'the address is no WHIP or WHEP endpoint',
  429: 'too many requests: join slower (--join-rate), or raise the limit of the server',
  503: 'the server has no room, or no media node',
};
/** What every further try would meet as well. */
const FINAL_STATUSES: readonly number[] = [401, 403, 404, 405, 406, 415];

const problemSchema = z.object({ detail: z.string() });

export interface Failure {
  message: string;
  /** Trying again is of no use. */
  final: boolean;
}

export function explainFailure(error: unknown, url: string): Failure {
  if (error instanceof SignallingError) {
    const meaning = MEANINGS[error.status];
    const body = reasonIn(error.body).replaceAll(/\s+/g, ' ').trim().slice(0, MAX_BODY_CHARACTERS);
    return {
      message: [`HTTP ${error.status}`, meaning, body].filter((part) => part !== undefined && part !== '').join(': '),
      final: FINAL_STATUSES.includes(error.status),
    };
  }
  if (!(error instanceof Error)) return { message: String(error), final: false };
  if (error.name === 'TimeoutError') return { message: `${new URL(url).origin} does not answer`, final: false };
  if (error instanceof TypeError && error.cause instanceof Error) {
    const { cause } = error;
    // An AggregateError (one for each address) has no message of its own.
    const reason = cause.message === '' && 'code' in cause ? String(cause.code) : cause.message;
    return { message: `${new URL(url).origin} cannot be reached: ${reason}`, final: true };
  }
  if (error.message.startsWith('the client did not connect')) {
    return { message: `no connection by UDP: ${error.message}`, final: false };
  }
  return { message: error.message, final: false };
}

/** The detail of a problem document (RFC 9457), or whatever it is. */
function reasonIn(body: string): string {
  try {
    return problemSchema.parse(JSON.parse(body)).detail;
  } catch {
    return body;
  }
}
