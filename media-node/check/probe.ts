/** `npm run node -- --probe HOST:PORT`: the outside half of a reachability test. */
import { lookup } from 'node:dns/promises';
import { hostAndPort } from './host-and-port.ts';
import { UdpPort } from './udp-port.ts';

const ANSWER_DEADLINE_MS = 5_000;

/**
 * Sends datagrams to a node that is being checked with `--wait`, and says whether it answers.
 * @returns false when it does not
 */
export async function probe(
  target: string,
  print: (line: string) => void,
  withinMs = ANSWER_DEADLINE_MS,
): Promise<boolean> {
  const { host, port } = hostAndPort(target);
  const { address, family } = await lookup(host);
  await using own = await UdpPort.open(family === 6 ? '::' : '0.0.0.0', family === 6 ? 6 : 4, 0);
  const heard = await own.ask(address, port, withinMs);
  const where = `${host} port ${port}`;
  if (heard !== 'silence') {
    print(`ok: datagrams reach ${where}, and its answers come back.`);
    return true;
  }
  print(
    `No answer from ${where} in ${withinMs / 1_000} s. Is "--check --wait" running there? If it is and says that a datagram ` +
      'arrived, only the way back is blocked; if it says nothing, open the UDP port in the firewalls in front of it.',
  );
  return false;
}
