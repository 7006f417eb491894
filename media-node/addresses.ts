/** Which addresses a node binds and announces. A UDP socket is bound to the very address it announces (or to the private
 * one of a 1:1 NAT pair), because a reply that leaves from another address is dropped by the peer's ICE. */
import { isIP } from 'node:net';
import { type NetworkInterfaceInfo, networkInterfaces } from 'node:os';

export interface MediaAddress {
  /** Local address that the socket is bound to. */
  bind: string;
  /** What candidates say; the same unless a 1:1 NAT stands in between. */
  announce: string;
  family: 4 | 6;
}

/** Interfaces of containers and virtual machines: reachable from this machine only, so they come last. */
const VIRTUAL_INTERFACE = /^(docker|br-|veth|virbr|vboxnet|vmnet|cni|flannel|podman)/;

/**
 * Parses `MEDIA_ADDRESSES`: a comma-separated list of `address` or `private/public` pairs.
 * @throws Error naming the bad entry.
 */
export function parseMediaAddresses(text: string): MediaAddress[] {
  const addresses = text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map((entry) => {
      const [bind = '', announce = bind, ...rest] = entry.split('/').map((part) => part.trim());
      const family = isIP(bind);
      if (rest.length > 0 || family === 0 || isIP(announce) !== family) {
        throw new Error(`"${entry}" is neither an IP address nor a "private/public" pair of one family`);
      }
      return { bind, announce, family: family as 4 | 6 };
    });
  if (addresses.length === 0) throw new Error('names no address');
  return sortedForCandidates(addresses);
}

/**
 * The default: the machine's own addresses, then loopback. IPv4 before IPv6, because ffmpeg uses the first host
 * candidate only; loopback after the others, because a remote ffmpeg would otherwise talk to itself.
 */
export function announcedAddresses(
  interfaces: NodeJS.Dict<NetworkInterfaceInfo[]> = networkInterfaces(),
): MediaAddress[] {
  const usable = Object.entries(interfaces)
    .flatMap(([name, infos]) => (infos ?? []).map((info) => ({ name, ...info })))
    .filter((info) => info.family === 'IPv4' || !isLinkLocal(info.address))
    .toSorted((a, b) => Number(VIRTUAL_INTERFACE.test(a.name)) - Number(VIRTUAL_INTERFACE.test(b.name)))
    .map((info): MediaAddress & { internal: boolean } => ({
      bind: info.address,
      announce: info.address,
      family: info.family === 'IPv4' ? 4 : 6,
      internal: info.internal,
    }));
  const ordered = [...usable.filter((address) => !address.internal), ...usable.filter((address) => address.internal)];
  return sortedForCandidates(ordered.map(({ bind, announce, family }) => ({ bind, announce, family })));
}

function sortedForCandidates(addresses: MediaAddress[]): MediaAddress[] {
  return [
    ...addresses.filter((address) => address.family === 4),
    ...addresses.filter((address) => address.family === 6),
  ];
}

/** fe80::/10 needs a zone index, which a candidate cannot carry. */
function isLinkLocal(address: string): boolean {
  return /^fe[89ab]/i.test(address);
}
