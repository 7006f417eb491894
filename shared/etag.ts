/**
 * Entity-tags of ICE sessions (RFC 9725 §4.3.1, RFC 9110 §8.8.3) and the `If-Match` that comes back. The tag names one
 * ICE session: it changes with an ICE restart and with nothing else.
 */

/** Visible ASCII without the quote (RFC 9110 etagc, less the obs-text that no tag of ours holds). */
const OPAQUE = /^[\x21\x23-\x7e]+$/;

/**
 * A strong entity-tag, quoted, as the `ETag` header carries it.
 * @throws RangeError for an empty text, one with a quote, blank or non-ASCII character, and for `*`, which means "any"
 */
export function makeEtag(opaque: string): string {
  if (!OPAQUE.test(opaque) || opaque === '*') throw new RangeError('not the text of an entity-tag');
  return `"${opaque}"`;
}

/** The text inside a strong entity-tag; null for a weak, unquoted or malformed one. */
export function parseStrongEtag(tag: string): string | null {
  if (tag.length < 3 || !tag.startsWith('"') || !tag.endsWith('"')) return null;
  const opaque = tag.slice(1, -1);
  return OPAQUE.test(opaque) ? opaque : null;
}

/** `missing` → 428 (RFC 6585 §3), `mismatch` → 412 (RFC 9110 §13.1.1). */
export type IfMatchVerdict = 'ok' | 'missing' | 'mismatch';

/**
 * Compares an `If-Match` field value with the tag of the present ICE session. `*` matches any session that lives, for
 * trickle as well as for a restart, and so does `"*"`, as the examples of RFC 9725 print it. A list matches when one of
 * its tags does.
 *
 * Quotes may be missing: vue-wish sends none, and no other tag can be meant. Lenient (protocol.md #47, #50): a missing
 * field matches too (medooze `whep.js`, Eyevinn and React Native send none), and a proxy may have made the tag weak.
 * Strict: neither of the two.
 *
 * @param ifMatch the field value as it came, null when absent
 * @param current the present tag, quoted
 */
export function evaluateIfMatch(
  ifMatch: string | null,
  current: string,
  { strict }: { strict: boolean },
): IfMatchVerdict {
  const value = ifMatch?.trim() ?? '';
  if (value === '') return strict ? 'missing' : 'ok';
  if (value === '*' || value === '"*"') return 'ok';
  const opaque = parseStrongEtag(current);
  const matched = listMembers(value).some((member) => opaqueOf(member, strict) === opaque);
  return matched && opaque !== null ? 'ok' : 'mismatch';
}

function opaqueOf(member: string, strict: boolean): string | null {
  const tag = !strict && /^W\//i.test(member) ? member.slice(2) : member;
  return parseStrongEtag(tag) ?? (OPAQUE.test(tag) ? tag : null);
}

/** Splits at commas outside quotes; one pass. */
function listMembers(value: string): string[] {
  const members: string[] = [];
  let quoted = false;
  let start = 0;
  for (let at = 0; at <= value.length; at++) {
    const character = value.charAt(at);
    if (character === '"') quoted = !quoted;
    if (at < value.length && (character !== ',' || quoted)) continue;
    const member = value.slice(start, at).trim();
    if (member !== '') members.push(member);
    start = at + 1;
  }
  return members;
}
