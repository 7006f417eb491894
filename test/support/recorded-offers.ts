/** Offers of real clients, as text with CRLF: `test/fixtures/offers`. */
import { readdirSync, readFileSync } from 'node:fs';

const FOLDER = new URL('../fixtures/offers/', import.meta.url);

/** File names without the suffix, `*-publish*` and `*-view*`. */
export function offerNames(purpose?: 'publish' | 'view'): string[] {
  return readdirSync(FOLDER)
    .filter((file) => file.endsWith('.sdp') && (purpose === undefined || file.includes(`-${purpose}`)))
    .map((file) => file.slice(0, -'.sdp'.length))
    .sort();
}

export function readOffer(name: string): string {
  return readFileSync(new URL(`${name}.sdp`, FOLDER), 'utf8');
}
