/** Where a live stream goes: an RTMP URL taken apart, and the words that nobody may read in a log. */

const DEFAULT_PORT = { 'rtmp:': 1935, 'rtmps:': 443 } as const;

export interface PushTarget {
  tls: boolean;
  /** A name, or an address without brackets. */
  host: string;
  port: number;
  app: string;
  /** The stream name: a secret with most services. */
  key: string;
  /** URL of the application, as `connect` sends it; without the key. */
  tcUrl: string;
}

/**
 * `rtmp[s]://host[:port]/app[/more]/key`: the last segment is the key, with its query, as OBS joins the two.
 * Null when it is anything else.
 */
export function parsePushTarget(url: string): PushTarget | null {
  const [, scheme = '', authority = '', rest = ''] = /^(rtmps?:)\/\/([^/?#\s]+)\/(\S+)$/i.exec(url) ?? [];
  const protocol = scheme.toLowerCase();
  if (protocol !== 'rtmp:' && protocol !== 'rtmps:') return null;
  // `http:` only to have the authority parsed; user information is no part of RTMP URLs here.
  const parsed = URL.parse(`http://${authority}`);
  if (parsed === null || parsed.username !== '' || parsed.password !== '' || parsed.hostname === '') return null;
  const query = rest.indexOf('?');
  const path = query < 0 ? rest : rest.slice(0, query);
  const split = path.includes('/') ? path.lastIndexOf('/') : rest.lastIndexOf('/');
  const app = rest.slice(0, Math.max(0, split));
  const key = rest.slice(split + 1);
  if (app === '' || key === '') return null;
  // `http` hides its own default.
  const explicit = /:(\d+)$/.exec(authority)?.[1];
  return {
    tls: protocol === 'rtmps:',
    host: parsed.hostname.replace(/^\[|\]$/g, ''),
    port: explicit === undefined ? DEFAULT_PORT[protocol] : Number(explicit),
    app,
    key,
    tcUrl: `${protocol}//${authority}/${app}`,
  };
}

const MAX_MESSAGE_CHARACTERS = 300;

/** One line that may be shown: without the key in any of its forms, without control characters, not endless. */
export function sanitise(message: string, target: PushTarget | null): string {
  let clean = message;
  if (target !== null) {
    const [name = ''] = target.key.split('?');
    for (const secret of [target.key, encodeURIComponent(target.key), safeDecode(target.key), name, target.app]) {
      // One character is no secret, and hiding each would leave nothing to read; an application may hold one in its query.
      const telling = secret === target.app ? secret.includes('?') : secret.length > 1;
      if (telling) clean = clean.replaceAll(secret, '***');
    }
  }
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what must go
  const line = clean.replace(/[\u0000-\u001f\u007f]+/g, ' ').trim();
  return line.length > MAX_MESSAGE_CHARACTERS ? `${line.slice(0, MAX_MESSAGE_CHARACTERS - 1)}…` : line;
}

function safeDecode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
