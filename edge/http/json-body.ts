import type { z } from 'zod';
import { ProblemError } from '../../shared/errors.ts';
import type { AppContext } from '../middleware/context.ts';
import { readText } from './body.ts';
import { errorWords, exampleOf, faultsInWords } from './body-words.ts';
import { mediaTypeOf } from './media-types.ts';

export const JSON_TYPE = 'application/json';
export const MAX_JSON_BYTES = 1024 * 1024;

/**
 * The body as `schema` wants it, of `maxBytes` at most.
 * @throws ProblemError 415 `unsupported_media_type`, 413 `too_large`, 400 `bad_text`, `bad_json`, `bad_body`
 */
export async function readJson<S extends z.ZodType>(
  c: AppContext,
  schema: S,
  maxBytes = MAX_JSON_BYTES,
): Promise<z.output<S>> {
  if (mediaTypeOf(c.req.header('Content-Type') ?? null) !== JSON_TYPE) {
    const field = c.req.raw.method === 'POST' ? 'Accept-Post' : 'Accept';
    throw new ProblemError(415, 'unsupported_media_type', `the body must be ${JSON_TYPE}`, {
      headers: { [field]: JSON_TYPE },
    });
  }
  return parseJson(await readText(c.req.raw, maxBytes), schema);
}

/**
 * Likewise for a body that may be left out: nothing at all means what an empty object does. An empty body may say so by its
 * length (RFC 9110 §8.6).
 */
export async function readOptionalJson<S extends z.ZodType>(c: AppContext, schema: S): Promise<z.output<S>> {
  const isEmpty = c.req.raw.body === null || c.req.header('Content-Length') === '0';
  return isEmpty ? schema.parse({}) : readJson(c, schema);
}

/** @throws ProblemError 400 `bad_json`, 400 `bad_body` naming what is wrong, never the value */
export function parseJson<S extends z.ZodType>(text: string, schema: S): z.output<S> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new ProblemError(400, 'bad_json', `the body is not JSON${exampleOf(schema)}`);
  }
  const parsed = schema.safeParse(body, { error: errorWords });
  if (parsed.success) return parsed.data;
  throw new ProblemError(400, 'bad_body', faultsInWords(parsed.error.issues, schema));
}
