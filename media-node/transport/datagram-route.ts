/** Remote addresses as others want them. */
import { ipBytes } from './ip-bytes.ts';
import type { DatagramRoute } from './types.ts';

/** The way to an address for a sender of its own; null when the socket has no descriptor. */
export function routeBy(
  socket: { fd: number | null } | undefined,
  address: string,
  port: number,
): DatagramRoute | null {
  const fd = socket?.fd ?? null;
  if (fd === null) return null;
  return { fd, address: ipBytes(address), zone: address.split('%', 2)[1] ?? '', port };
}

/** As it stands in a URL. */
export function hostAndPort(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`;
}
