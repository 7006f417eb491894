/** Space, stream and member of the user: the address first, then what was used last. Tokens live as long as the tab. */
import { labelOf } from '../clients/member-tracks.ts';
import { recall, remember } from './storage.ts';

export interface StreamChoice {
  space: string;
  /** UUID. */
  stream: string;
}

const SPACE_KEY = 'vestibule.space';
const STREAM_KEY = 'vestibule.stream';
const NAME_KEY = 'vestibule.name';
const TOKEN_KEY = 'vestibule.member-token';
/** The same rules as the server's (shared/ids.ts). */
const SPACE_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$/;
const STREAM_PATTERN = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

export function isStream({ space, stream }: StreamChoice): boolean {
  return SPACE_PATTERN.test(space) && STREAM_PATTERN.test(stream);
}

/** `?space=` and `?stream=`, else the last ones used; what the server would refuse counts as absent and is empty. */
export function initialStream(search: string = location.search): StreamChoice {
  const query = new URLSearchParams(search);
  const pick = (values: (string | null)[], pattern: RegExp) =>
    values.find((value) => value !== null && pattern.test(value)) ?? '';
  return {
    space: pick([query.get('space'), recall('local', SPACE_KEY)], SPACE_PATTERN),
    stream: pick([query.get('stream'), recall('local', STREAM_KEY)], STREAM_PATTERN),
  };
}

export function rememberStream({ space, stream }: StreamChoice): void {
  remember('local', SPACE_KEY, space);
  remember('local', STREAM_KEY, stream);
}

export function storedName(): string {
  return recall('local', NAME_KEY) ?? '';
}

export function rememberName(name: string): void {
  remember('local', NAME_KEY, name);
}

/** `#token=` of the address, which is taken out of it so that it is not shared with the link; else the tab's token. */
export function storedMemberToken(): string {
  const fragment = new URLSearchParams(location.hash.slice(1));
  const given = fragment.get('token');
  if (given !== null) {
    rememberMemberToken(given);
    history.replaceState(history.state, '', location.pathname + location.search);
  }
  return given ?? recall('session', TOKEN_KEY) ?? '';
}

export function rememberMemberToken(token: string): void {
  remember('session', TOKEN_KEY, token);
}

/** `sub` of a JWT, which is not checked here; empty when there is none to be read. */
export function subjectOf(token: string): string {
  try {
    const claims = (token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/');
    const bytes = Uint8Array.from(atob(claims), (character) => character.charCodeAt(0));
    const { sub }: { sub?: unknown } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof sub === 'string' ? sub : '';
  } catch {
    return '';
  }
}

/** `P`, as paths of the API begin. */
export function streamPath({ space, stream }: StreamChoice): string {
  return `/space/${encodeURIComponent(space)}/stream/${encodeURIComponent(stream)}`;
}

export function lobbyUrl(choice: StreamChoice): string {
  return streamPageUrl('lobby', choice);
}

export function audienceUrl(choice: StreamChoice): string {
  return streamPageUrl('audience', choice);
}

/** As the others shall read a label: `Ada_Lovelace` → `Ada Lovelace`. */
export function nameOfLabel(label: string): string {
  return labelOf(label).replaceAll('_', ' ');
}

function streamPageUrl(page: 'lobby' | 'audience', { space, stream }: StreamChoice): string {
  const query = new URLSearchParams({ space, stream });
  return new URL(`/web/${page}.html?${query}`, location.href).href;
}
