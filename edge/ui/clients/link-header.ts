/** RFC 8288 `Link` fields, as far as WHIP and WHEP use them. */
export interface Link {
  uri: string;
  /** Parameter names in lower case; a parameter given twice keeps its first value (RFC 8288 §3.3 for `rel`). */
  params: Readonly<Record<string, string>>;
}

/**
 * Parses a `Link` field value, several fields already joined with commas as `Headers.get` does. Quoted values may hold
 * commas, semicolons and backslash escapes: TURN user names (`1767225600:guest`) and credentials need all of that.
 * Never throws; what cannot be read is left out.
 */
export function parseLinkHeader(value: string | null): Link[] {
  const links: Link[] = [];
  const text = value ?? '';
  let at = 0;
  while (at < text.length) {
    const open = text.indexOf('<', at);
    if (open < 0) break;
    const close = text.indexOf('>', open);
    if (close < 0) break;
    const { params, end } = parseParams(text, close + 1);
    links.push({ uri: text.slice(open + 1, close).trim(), params });
    at = end;
  }
  return links;
}

/** The `rel="ice-server"` links as `RTCPeerConnection` wants them (RFC 9725 §4.6). */
export function iceServersFromLinks(links: readonly Link[]): RTCIceServer[] {
  const servers: RTCIceServer[] = [];
  for (const { uri, params } of links) {
    const relations = (params.rel ?? '').toLowerCase().split(/\s+/);
    if (!relations.includes('ice-server') || !/^(stun|turn)s?:/i.test(uri)) continue;
    const server: RTCIceServer = { urls: uri };
    if (params.username !== undefined) server.username = params.username;
    if (params.credential !== undefined) server.credential = params.credential;
    servers.push(server);
  }
  return servers;
}

function parseParams(text: string, from: number): { params: Record<string, string>; end: number } {
  const params: Record<string, string> = {};
  let at = from;
  for (;;) {
    at = skip(text, at, ' \t;');
    if (at >= text.length || text[at] === ',') return { params, end: at + 1 };
    const nameStart = at;
    while (at < text.length && !'=;, \t'.includes(text.charAt(at))) at++;
    const name = text.slice(nameStart, at).toLowerCase();
    at = skip(text, at, ' \t');
    let value = '';
    if (text[at] === '=') {
      at = skip(text, at + 1, ' \t');
      if (text[at] === '"') {
        ({ value, at } = readQuoted(text, at + 1));
      } else {
        const valueStart = at;
        while (at < text.length && !';,'.includes(text.charAt(at))) at++;
        value = text.slice(valueStart, at).trim();
      }
    }
    if (name !== '' && !Object.hasOwn(params, name)) params[name] = value;
  }
}

function readQuoted(text: string, from: number): { value: string; at: number } {
  let value = '';
  let at = from;
  while (at < text.length && text[at] !== '"') {
    if (text[at] === '\\') at++;
    value += text.charAt(at++);
  }
  return { value, at: at + 1 };
}

function skip(text: string, from: number, characters: string): number {
  let at = from;
  while (at < text.length && characters.includes(text.charAt(at))) at++;
  return at;
}
