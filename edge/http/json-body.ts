import type { z } from 'zod';
import { ProblemError } from '../../shared/errors.ts';
import type { AppContext } from '../middleware/context.ts';
import { readText } from './body.ts';
import { mediaTypeOf } from './media-types.ts';

export const JSON_TYPE = 'application/json';
export const MAX_JSON_BYTES = 1024 * 1024;
/** Names of unknown members are the client's own words, and may be long. */
const MAX_DETAIL_CHARS = 200;

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

/** @throws ProblemError 400 `bad_json`, 400 `bad_body` naming what is wrong, never the value */
export function parseJson<S extends z.ZodType>(text: string, schema: S): z.output<S> {
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    throw new ProblemError(400, 'bad_json', 'the body is not JSON');
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map(({ path, message }) => `${path.join('.') || 'the body'}: ${message}`);
  throw new ProblemError(400, 'bad_body', problems.join('; ').slice(0, MAX_DETAIL_CHARS));
}
