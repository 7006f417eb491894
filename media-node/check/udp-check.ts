/**
 * Can media come in? What this machine can find out by itself: the port can be bound, the announced address is its own or
 * belongs to a NAT that was told of, and datagrams to it come back. That the world gets through the firewall only somebody
 * outside can tell: a STUN server (under which address are we seen?) or `--probe` on another machine.
 */
import type { MediaAddress } from '../addresses.ts';
import { isPublicAddress } from '../push/address-policy.ts';
import type { Finding } from './finding.ts';
import { UdpPort } from './udp-port.ts';

const ECHO_DEADLINE_MS = 1_000;
const STUN_DEADLINE_MS = 3_000;

export interface UdpCheckOptions {
  addresses: readonly MediaAddress[];
  ports: readonly number[];
  /** `host:port` of a STUN server; null: none is asked. */
  stun: { host: string; port: number } | null;
  /** For how long to wait for a datagram from elsewhere; 0: not. */
  waitMs: number;
  /** Said while it waits. */
  onWait(message: string): void;
}

interface OpenPort {
  address: MediaAddress;
  port: UdpPort;
}

export async function checkUdp(options: UdpCheckOptions): Promise<Finding[]> {
  const findings: Finding[] = [];
  await using opened = new AsyncDisposableStack();
  const open: OpenPort[] = [];
  for (const address of options.addresses) {
    const bound: number[] = [];
    for (const wanted of options.ports) {
      try {
        const port = opened.use(await UdpPort.open(address.bind, address.family, wanted));
        open.push({ address, port });
        bound.push(port.port);
      } catch (error) {
        findings.push({ outcome: 'failed', subject: 'UDP port', detail: whyNotBound(error, address.bind, wanted) });
      }
    }
    if (bound.length > 0) findings.push(ok('UDP port', `${bound.join(', ')} on ${address.bind} can be bound`));
  }
  for (const each of open) findings.push(...(await checkEcho(each)));
  if (options.stun !== null) for (const each of open) findings.push(await checkFromOutside(each, options.stun));
  if (open.length > 0 && options.waitMs > 0) findings.push(await waitForProbe(open, options));
  return findings;
}

/** Addresses that nobody outside can reach, for an edge that is in public. */
export function judgeAnnounced(
  addresses: readonly MediaAddress[],
  edgeAddresses: readonly string[],
  seenAs: string | null,
): Finding {
  const announced = addresses.map(({ announce }) => announce);
  const list = announced.join(', ');
  if (seenAs !== null && announced.includes(seenAs)) return ok('announced', `${list}; the edge sees us as ${seenAs}`);
  const isPublic = announced.some(isPublicAddress);
  if (!isPublic && edgeAddresses.some(isPublicAddress)) {
    const bind = addresses.find(({ family }) => family === 4)?.bind ?? addresses[0]?.bind ?? '';
    const detail =
      `${list}: nobody outside of this network can reach that, though the edge is in public. Behind a NAT that passes ` +
      `the port on, set MEDIA_ADDRESSES=${bind}/${seenAs ?? 'PUBLIC-ADDRESS'}`;
    return { outcome: 'failed', subject: 'announced', detail };
  }
  if (seenAs !== null && isPublicAddress(seenAs)) {
    const detail = `${list}, but the edge sees us as ${seenAs}: is the announced address the right one?`;
    return { outcome: 'warning', subject: 'announced', detail };
  }
  return ok('announced', isPublic ? list : `${list} (private, as the edge is)`);
}

/** From another socket of this machine to the announced address. */
async function checkEcho({ address, port }: OpenPort): Promise<Finding[]> {
  await using other = await UdpPort.open(address.bind, address.family, 0);
  const heard = await other.ask(address.announce, port.port, ECHO_DEADLINE_MS);
  const where = `${address.announce} port ${port.port}`;
  if (heard !== 'silence') return [ok('loop', `datagrams to ${where} come back to this machine`)];
  const detail =
    address.bind === address.announce
      ? `no datagram comes through to ${where}, not even from this machine: a local firewall`
      : `datagrams to ${where} do not come back: many NATs do not pass on what comes from inside, so it may be fine`;
  return [{ outcome: address.bind === address.announce ? 'failed' : 'unknown', subject: 'loop', detail }];
}

async function checkFromOutside({ address, port }: OpenPort, stun: { host: string; port: number }): Promise<Finding> {
  const heard = await port.ask(stun.host, stun.port, STUN_DEADLINE_MS);
  const server = `${stun.host}:${stun.port}`;
  if (heard === 'silence' || heard.seenAs === null) {
    const detail = `no answer from ${server} to ${address.bind}: UDP is blocked on the way, or that is no STUN server`;
    return { outcome: 'unknown', subject: 'outside', detail };
  }
  const { seenAs } = heard;
  if (seenAs.address !== address.announce) {
    const detail = `${address.bind} is seen as ${seenAs.address}, but ${address.announce} is announced: set MEDIA_ADDRESSES=${address.bind}/${seenAs.address}`;
    return { outcome: 'failed', subject: 'outside', detail };
  }
  if (seenAs.port !== port.port) {
    const detail = `the NAT turns port ${port.port} into ${seenAs.port}: it has to pass the port on as it is`;
    return { outcome: 'failed', subject: 'outside', detail };
  }
  return ok('outside', `seen as ${seenAs.address} port ${seenAs.port}, which is what is announced`);
}

async function waitForProbe(open: readonly OpenPort[], options: UdpCheckOptions): Promise<Finding> {
  const own = new Set(options.addresses.flatMap(({ bind, announce }) => [bind, announce]));
  const [target] = open.filter(({ address }) => isPublicAddress(address.announce)).concat(open);
  const host = target?.address.family === 6 ? `[${target.address.announce}]` : target?.address.announce;
  options.onWait(
    `Waiting ${options.waitMs / 1_000} s. Now, on another machine: npm run node -- --probe ${host}:${target?.port.port}`,
  );
  const { promise, resolve } = Promise.withResolvers<Finding>();
  const stops = open.map(({ address, port }) =>
    port.listen((from) => {
      if (own.has(from.address) && address.announce !== '127.0.0.1') return;
      resolve(ok('from outside', `a datagram from ${from.address} arrived on port ${port.port}`));
    }),
  );
  const detail = `no datagram arrived in ${options.waitMs / 1_000} s: open the UDP port in the firewall of this machine, and in that of its network or cloud`;
  const late = setTimeout(() => resolve({ outcome: 'failed', subject: 'from outside', detail }), options.waitMs);
  const finding = await promise;
  clearTimeout(late);
  for (const stop of stops) stop();
  return finding;
}

function ok(subject: string, detail: string): Finding {
  return { outcome: 'ok', subject, detail };
}

function whyNotBound(error: unknown, address: string, port: number): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : String(error);
  if (code === 'EADDRINUSE') {
    return `${port} on ${address} is in use. If the node runs already, stop it for this check; else choose another MEDIA_PORT`;
  }
  if (code === 'EACCES') return `${port} on ${address} is not permitted: choose a MEDIA_PORT above 1023`;
  if (code === 'EADDRNOTAVAIL' || code === 'EINVAL') {
    return `${address} is no address of this machine: check MEDIA_ADDRESSES (private/public behind a 1:1 NAT)`;
  }
  return `${port} on ${address} cannot be bound (${code})`;
}
