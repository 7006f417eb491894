/**
 * What is wrong with a JSON body, in words for whoever wrote it: which member, what it must be, and a body that would be
 * taken. Values are never repeated: they may be secrets. Names of members are, cut to a decent length.
 */
import type { z } from 'zod';

type RawIssue = Parameters<z.core.$ZodErrorMap>[0];
type Issue = z.core.$ZodIssue;

const MAX_NAME_CHARS = 40;
const MAX_NAMES = 3;
const MAX_FAULTS = 3;

/** Names of types as people know them. */
const TYPES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

/** Said where a schema has no words of its own. They begin with a verb: the name of the member stands before them. */
export function errorWords(issue: RawIssue): string {
  switch (issue.code) {
    case 'invalid_type':
      return `${issue.input === undefined ? 'is missing: it must' : 'must'} be ${typeOf(issue.expected)}`;
    case 'unrecognized_keys':
      return `may not have ${issue.keys.slice(0, MAX_NAMES).map(quoted).join(', ')}: that is not known here`;
    case 'too_small':
      return `must ${sizeOf(issue.origin)} at least ${issue.minimum}${unitOf(issue.origin)}`;
    case 'too_big':
      return `must ${sizeOf(issue.origin)} at most ${issue.maximum}${unitOf(issue.origin)}`;
    case 'invalid_value':
      return `must be ${issue.values.map((value) => JSON.stringify(value)).join(' or ')}`;
    default:
      return 'is not of the form that is expected here';
  }
}

/** One sentence on what `issues` have in them, and an example if the schema has one (`.meta({ examples: [body] })`). */
export function faultsInWords(issues: readonly Issue[], schema: z.ZodType): string {
  const faults = issues.flatMap(innermost).map(({ path, message }) => `${nameOf(path)} ${message}`);
  const more = faults.length > MAX_FAULTS ? `; and ${faults.length - MAX_FAULTS} more` : '';
  return `${faults.slice(0, MAX_FAULTS).join('; ')}${more}${exampleOf(schema)}`;
}

export function exampleOf(schema: z.ZodType): string {
  const [example] = (schema.meta()?.examples as unknown[] | undefined) ?? [];
  return example === undefined ? '' : `. For example: ${JSON.stringify(example)}`;
}

/** Of a body that may have several forms, what is wrong with the one that was meant: the one that has all its members. */
function innermost(issue: Issue): Issue[] {
  if (issue.code !== 'invalid_union') return [issue];
  const meant = issue.errors.filter((faults) => !faults.some(({ code }) => code === 'unrecognized_keys'));
  return meant.length === 1 && meant[0] !== undefined ? meant[0] : [issue];
}

/** `guests[0]`, as one would write it. */
function nameOf(path: readonly PropertyKey[]): string {
  const name = path.map((key) => (typeof key === 'number' ? `[${key}]` : `.${String(key)}`)).join('');
  return name === '' ? 'the body' : quoted(name.replace(/^\./, ''));
}

function quoted(name: string): string {
  return `"${name.length > MAX_NAME_CHARS ? `${name.slice(0, MAX_NAME_CHARS)}…` : name}"`;
}

function typeOf(expected: string): string {
  return TYPES[expected] ?? `of type ${expected}`;
}

function sizeOf(origin: string): string {
  return origin === 'string' || origin === 'array' ? 'have' : 'be';
}

function unitOf(origin: string): string {
  if (origin === 'string') return ' characters';
  return origin === 'array' ? ' entries' : '';
}
