const MAX_PORT = 65_535;

/**
 * `host:port` or `[address]:port`, a `stun:` before it allowed.
 * @throws Error in words
 */
export function hostAndPort(text: string): { host: string; port: number } {
  const match = /^(?:stun:)?(?:\[([0-9A-Fa-f:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2];
  if (host === undefined || port === 0 || port > MAX_PORT) throw new Error(`"${text}" is not of the form HOST:PORT`);
  return { host, port };
}
