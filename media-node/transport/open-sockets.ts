/** Chooses the sockets that go with the fan-out engine. */
import { loadAddon } from '../forward/native/addon.ts';
import type { DatagramSockets } from './datagram-socket.ts';
import { NativeSockets } from './native-socket.ts';
import { portableSockets } from './udp-socket.ts';

/**
 * With the native engine the sockets of the addon; should they not work on this Node, those of node:dgram, which the
 * engine can send on as well, and a line that says why.
 */
export async function openSockets(
  engine: 'portable' | 'native',
  log: (message: string) => void = () => {},
): Promise<DatagramSockets> {
  if (engine === 'portable') return portableSockets;
  try {
    return new NativeSockets(await loadAddon());
  } catch (error) {
    log(`packets are received by node:dgram, because ${error instanceof Error ? error.message : String(error)}`);
    return portableSockets;
  }
}
