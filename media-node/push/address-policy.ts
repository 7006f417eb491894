/**
 * Which servers a live stream may be pushed to. The edge looks at the URL; this end sees the addresses, so a name that
 * resolves into our own network is stopped here, at the moment of connecting.
 */
import { lookup } from 'node:dns';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** IANA special-purpose registries: nothing there is a public server. */
const SPECIAL: readonly (readonly [string, number, 'ipv4' | 'ipv6'])[] = [
  ['0.0.0.0', 8, 'ipv4'],
  ['10.0.0.0', 8, 'ipv4'],
  ['100.64.0.0', 10, 'ipv4'],
  ['127.0.0.0', 8, 'ipv4'],
  ['169.254.0.0', 16, 'ipv4'],
  ['172.16.0.0', 12, 'ipv4'],
  ['192.0.0.0', 24, 'ipv4'],
  ['192.0.2.0', 24, 'ipv4'],
  ['192.88.99.0', 24, 'ipv4'],
  ['192.168.0.0', 16, 'ipv4'],
  ['198.18.0.0', 15, 'ipv4'],
  ['198.51.100.0', 24, 'ipv4'],
  ['203.0.113.0', 24, 'ipv4'],
  ['224.0.0.0', 3, 'ipv4'],
  // All but global unicast (2000::/3), so that mapped, translated (64:ff9b::/96, 64:ff9b:1::/48) and site-local ones are in it.
  ['::', 3, 'ipv6'],
  ['4000::', 2, 'ipv6'],
  ['8000::', 1, 'ipv6'],
  // In it: Teredo and other protocols, documentation, 6to4.
  ['2001::', 23, 'ipv6'],
  ['2001:db8::', 32, 'ipv6'],
  ['2002::', 16, 'ipv6'],
  ['3fff::', 20, 'ipv6'],
];

/** Apart: an IPv4 address would match the range of mapped ones, whatever it is. */
const special = { ipv4: new BlockList(), ipv6: new BlockList() };
for (const [network, prefix, family] of SPECIAL) special[family].addSubnet(network, prefix, family);

export function isPublicAddress(address: string): boolean {
  if (isIP(address) === 0) return false;
  const family = isIP(address) === 4 ? 'ipv4' : 'ipv6';
  return !special[family].check(address, family);
}

export class AddressPolicy {
  readonly #hosts: readonly string[];

  /** `LIVE_ALLOWED_HOSTS`: names and addresses, as at the edge; empty: any public host. */
  constructor(hosts: readonly string[]) {
    this.#hosts = hosts.map(bare);
  }

  /** A reason to refuse `host` before any look-up, or null. */
  refusal(host: string): string | null {
    if (this.#isListed(host)) return null;
    if (this.#hosts.length > 0) return 'the host is not among LIVE_ALLOWED_HOSTS';
    return isIP(host) === 0 || isPublicAddress(host) ? null : PRIVATE;
  }

  /** Resolves as `net.connect` does, and fails for a name that leads to an address which is not public. */
  lookupFor(host: string): LookupFunction {
    const anywhere = this.#isListed(host);
    return (hostname, options, done) => {
      lookup(hostname, { ...options, all: true }, (error, addresses) => {
        const bad = error === null && !anywhere && addresses.some(({ address }) => !isPublicAddress(address));
        const failure = bad ? new Error(PRIVATE) : error;
        const [first] = addresses ?? [];
        if (failure !== null || first === undefined) done(failure ?? new Error('the host has no address'), '', 0);
        else if (options.all) done(null, addresses);
        else done(null, first.address, first.family);
      });
    };
  }

  #isListed(host: string): boolean {
    return this.#hosts.includes(bare(host));
  }
}

function bare(host: string): string {
  return host.toLowerCase().replace(/^\[|\]$|\.$/g, '');
}

const PRIVATE = 'the host is not public; list it in LIVE_ALLOWED_HOSTS to push there';
