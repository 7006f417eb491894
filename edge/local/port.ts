/** Is a port free? Asked before anything starts, so that the answer can name the port and the variable that sets it. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port that cannot be had. `message` names the port, the address and the variable. */
export class PortError extends Error {
  constructor(variable: string, protocol: 'TCP' | 'UDP', host: string, port: number, code: string) {
    super(
      code === 'EADDRINUSE'
        ? `${protocol} port ${port} on ${host} is in use. Stop what uses it, or set ${variable} to another port (0 picks a free one).`
        : code === 'EACCES'
          ? `${protocol} port ${port} on ${host} may not be used by this user (EACCES). Set ${variable} to a port above 1023.`
          : `${protocol} port ${port} on ${host} cannot be used (${code}). See ${variable} and the address that goes with it.`,
    );
    this.name = 'PortError';
  }
}

const NO_SUCH_HOST = ['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL'];

/** HOST names no address that this machine could listen on. */
export class HostError extends Error {
  constructor(variable: string, host: string) {
    super(
      `${variable}=${host} is no address of this machine. 127.0.0.1 is for this machine only, 0.0.0.0 for its networks.`,
    );
    this.name = 'HostError';
  }
}

/** Throws `HostError` or `PortError` when nothing can listen there. Port 0 is free on every address of the machine. */
export async function requireTcpPort(variable: string, host: string, port: number): Promise<void> {
  const server = createServer();
  try {
    server.listen({ host, port, exclusive: true });
    await once(server, 'listening');
    server.close();
    await once(server, 'close');
  } catch (error) {
    const code = codeOf(error);
    if (NO_SUCH_HOST.includes(code)) throw new HostError('HOST', host);
    throw new PortError(variable, 'TCP', host, port, code);
  }
}

/** Throws `PortError` when the port cannot be bound on one of the addresses; null: on any of the machine. */
export async function requireUdpPort(
  variable: string,
  addresses: readonly string[] | null,
  port: number,
): Promise<void> {
  if (port === 0) return;
  for (const address of addresses ?? ['0.0.0.0']) {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    try {
      socket.bind({ address, port, exclusive: true });
      await once(socket, 'listening');
    } catch (error) {
      throw new PortError(variable, 'UDP', address, port, codeOf(error));
    } finally {
      socket.close();
    }
  }
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error);
}
