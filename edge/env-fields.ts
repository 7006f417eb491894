/** How each kind of setting is read from its text. Messages say what is wrong and never repeat a secret. */
import { z } from 'zod';
import { type RoomName, roomNameSchema } from '../shared/ids.ts';

/** Unset and empty mean the same: `.env` files say `NAME=`. */
function text<T extends z.ZodType>(inner: T) {
  return z.preprocess((value) => {
    if (value === undefined || value === null) return undefined;
    const trimmed = String(value).trim();
    return trimmed === '' ? undefined : trimmed;
  }, inner);
}

export const optionalText = text(z.string().optional());

/** As `optionalText`, for what must be hard to guess. */
export function optionalSecret(minChars: number) {
  return text(
    z
      .string()
      .min(minChars, { error: `must have at least ${minChars} characters` })
      .optional(),
  );
}

/** A setting without which nothing can be done safely. The value is never repeated in a message: it is a secret. */
export function requiredText(rule: { minChars: number; pattern?: RegExp; expected?: string }) {
  return text(
    z
      .string({ error: 'is required' })
      .min(rule.minChars, { error: `must have at least ${rule.minChars} characters` })
      .regex(rule.pattern ?? /^/, { error: `must be ${rule.expected ?? 'text'}` }),
  );
}

export function list(pattern: RegExp, expected: string) {
  return text(
    z
      .string()
      .optional()
      .transform((value, context) => {
        const items = (value ?? '').split(',').map((item) => item.trim());
        const wanted = items.filter((item) => item !== '');
        for (const item of wanted) {
          if (!pattern.test(item)) context.addIssue({ code: 'custom', message: `"${item}" is not ${expected}` });
        }
        return wanted;
      }),
  );
}

export function number(defaultValue: number, rule: { integer: boolean; max?: number }) {
  return text(
    z
      .string()
      .optional()
      .transform((value, context) => {
        if (value === undefined) return defaultValue;
        const pattern = rule.integer ? /^\d{1,15}$/ : /^\d{1,9}(\.\d{1,9})?$/;
        const parsed = Number(value);
        if (!pattern.test(value) || (rule.max !== undefined && parsed > rule.max)) {
          const kind = rule.integer ? 'a whole number' : 'a number';
          const limit = rule.max === undefined ? '' : ` of at most ${rule.max}`;
          context.addIssue({ code: 'custom', message: `must be ${kind}${limit}, not negative` });
        }
        return parsed;
      }),
  );
}

/** The name of a request header (RFC 9110 §5.1). */
export const headerName = text(
  z
    .string()
    .regex(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,64}$/, 'must be the name of a header')
    .optional(),
);

const FLAGS: Readonly<Record<string, boolean>> = { '1': true, true: true, '0': false, false: false };
export function flag(defaultValue: boolean) {
  return text(
    z
      .string()
      .optional()
      .transform((value, context) => {
        if (value === undefined) return defaultValue;
        const known = FLAGS[value.toLowerCase()];
        if (known === undefined) context.addIssue({ code: 'custom', message: 'must be 0 or 1' });
        return known ?? defaultValue;
      }),
  );
}

/** One of these words; the first when it is not set. */
export function choice<const Words extends readonly [string, ...string[]]>(words: Words) {
  return text(
    z
      .enum(words, { error: `must be one of ${words.join(', ')}` })
      .optional()
      .transform((value): Words[number] => value ?? words[0]),
  );
}

/** An http(s) URL without anything behind the authority, as `Origin` carries it; null when it is not one. */
function originOf(value: string): string | null {
  if (!URL.canParse(value)) return null;
  const url = new URL(value);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') return null;
  return url.pathname === '/' && url.search === '' && url.hash === '' && url.username === '' ? url.origin : null;
}

export const origins = text(
  z
    .string()
    .optional()
    .transform((value, context): '*' | string[] => {
      if (value === undefined || value === '*') return '*';
      const found: string[] = [];
      for (const item of value.split(',').map((part) => part.trim())) {
        if (item === '') continue;
        const origin = originOf(item);
        if (origin === null) {
          context.addIssue({
            code: 'custom',
            message: `"${item}" is neither * nor an origin like https://example.org`,
          });
        } else {
          found.push(origin);
        }
      }
      return found;
    }),
);

export const publicUrl = text(
  z
    .string()
    .optional()
    .refine((value) => value === undefined || /^https?:$/.test(URL.canParse(value) ? new URL(value).protocol : ''), {
      message: 'must be an http:// or https:// URL',
    }),
);

/** Keys fetched over an open network would be anybody's: https only, but for this machine. */
export const jwksUrl = text(
  z
    .string()
    .optional()
    .refine((value) => value === undefined || isTrustworthy(value), {
      message: 'must be an https:// URL (http:// for localhost only)',
    }),
);

function isTrustworthy(value: string): boolean {
  if (!URL.canParse(value)) return false;
  const { protocol, hostname } = new URL(value);
  if (protocol === 'https:') return true;
  return protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname);
}

export const roomTokens = text(
  z
    .string()
    .optional()
    .transform((value, context) => {
      const tokens = new Map<RoomName, string>();
      const entries = (value ?? '').split(';').map((entry) => entry.trim());
      entries.forEach((entry, index) => {
        if (entry === '') return;
        const colon = entry.indexOf(':');
        const room = roomNameSchema.safeParse(entry.slice(0, Math.max(colon, 0)).trim());
        const token = entry.slice(colon + 1).trim();
        // The entry itself is not repeated: it holds a secret.
        if (colon < 0 || !room.success || token === '') {
          context.addIssue({ code: 'custom', message: `entry ${index + 1} is not of the form room:token` });
        } else if (tokens.has(room.data)) {
          context.addIssue({ code: 'custom', message: `room ${room.data} is named twice` });
        } else {
          tokens.set(room.data, token);
        }
      });
      return tokens;
    }),
);

/** Of an S3-compatible store: keys must not cross an open network, but tests and MinIO in a cellar speak http. */
export const endpointUrl = text(
  z
    .string()
    .optional()
    .transform((value, context) => {
      const origin = value === undefined ? undefined : originOf(value);
      if (origin === null) context.addIssue({ code: 'custom', message: 'must be a URL like https://s3.example.org' });
      return origin ?? undefined;
    }),
);
