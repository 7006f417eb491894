/**
 * fast-check as the tests use it: every property tries the same inputs each time, so that a commit is judged by what it
 * changes and not by chance. New inputs are tried by who asks for them:
 *
 *   PROPERTY_SEED=random npm run test:unit     another seed for each property; a failure prints it
 *   PROPERTY_SEED=84489126 npm run test:unit   that one again
 */
import fc from 'fast-check';

const USUAL_SEED = 20_261_121;

/** What runs the tests has an environment; what only checks their types may not know of it (pages, workerd). */
const { process } = globalThis as { process?: { env?: Record<string, string | undefined> } };
const asked = process?.env?.PROPERTY_SEED ?? '';

if (asked !== 'random') {
  const seed = asked === '' ? USUAL_SEED : Number(asked);
  if (!Number.isSafeInteger(seed))
    throw new TypeError(`PROPERTY_SEED is neither a whole number nor "random": ${asked}`);
  fc.configureGlobal({ ...fc.readConfigureGlobal(), seed });
}

export { fc };
