/**
 * May a push go to this host? The media node would connect to it from inside its network, so what is not public is out of
 * bounds unless the operator has listed it. Names are judged as names: what they resolve to is not known here.
 */

/** IPv4 ranges that are not the public internet (IANA special-purpose registry), as network and prefix length. */
const PRIVATE_V4: readonly (readonly [string, number])[] = [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.88.99.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
];
/** Names that never leave a machine or a site (RFC 6761, RFC 6762, RFC 8375, RFC 9476, cloud metadata servers). */
const PRIVATE_SUFFIXES = [
  'localhost',
  'local',
  'internal',
  'intranet',
  'lan',
  'home',
  'corp',
  'home.arpa',
  'alt',
  'test',
];

const GROUPS = 8;

/**
 * The one way to write a host: addresses in decimal dots or in brackets, names in lower-case ASCII without a dot at the
 * end. Whatever a C library or a browser would take for an address becomes one (`0x7f.1`, `2130706433`, `127.0.0.1.`).
 * Null: not a host.
 */
export function canonicalHost(host: string): string | null {
  const written = host.includes(':') && !host.startsWith('[') ? `[${host}]` : host;
  if (written === '' || /[\s/?#@\\%]/.test(written)) return null;
  const url = `http://${written}/`;
  if (!URL.canParse(url)) return null;
  const { hostname, port } = new URL(url);
  if (port !== '' || hostname === '') return null;
  const bare = hostname.endsWith('.') ? hostname.slice(0, -1) : hostname;
  if (bare === '' || bare.endsWith('.')) return null;
  // A last dot may have hidden an address from the parser.
  return bare === hostname ? bare : canonicalHost(bare);
}

/** With a list (in any spelling), only what is listed; without, every public host. `host` is canonical. */
export function isAllowedHost(host: string, listed: readonly string[]): boolean {
  if (listed.length > 0) return listed.some((entry) => canonicalHost(entry) === host);
  return isPublicHost(host);
}

/** `host` is canonical. */
export function isPublicHost(host: string): boolean {
  if (host.startsWith('[')) return isPublicV6(host.slice(1, -1));
  const v4 = v4Of(host);
  if (v4 !== null) return isPublicV4(v4);
  const isPrivate = PRIVATE_SUFFIXES.some((suffix) => host === suffix || host.endsWith(`.${suffix}`));
  // A single label is looked up in the node's own domain.
  return host.includes('.') && !isPrivate;
}

function v4Of(host: string): number | null {
  if (!/^\d+\.\d+\.\d+\.\d+$/.test(host)) return null;
  return host.split('.').reduce((value, octet) => value * 256 + Number(octet), 0);
}

function isPublicV4(address: number): boolean {
  return !PRIVATE_V4.some(([network, bits]) => {
    const size = 2 ** (32 - bits);
    return Math.floor(address / size) === Math.floor((v4Of(network) ?? 0) / size);
  });
}

function isPublicV6(text: string): boolean {
  const groups = groupsOf(text);
  const [first = 0, second = 0] = groups;
  const embedded = embeddedV4(groups);
  if (embedded !== null) return isPublicV4(embedded);
  // Global unicast is 2000::/3; in it, 2001::/23 (Teredo and other protocols), 2001:db8::/32 and 3fff::/20 are not.
  if (first >> 13 !== 1) return false;
  if (first === 0x2001 && (second < 0x200 || second === 0xdb8)) return false;
  return !(first === 0x3fff && second < 0x1000);
}

/** IPv4-mapped, IPv4-compatible, NAT64 (64:ff9b::/96) and 6to4 (2002::/16) addresses lead to an IPv4 address. */
function embeddedV4(groups: readonly number[]): number | null {
  const at = (index: number): number => (groups[index] ?? 0) * 0x10000 + (groups[index + 1] ?? 0);
  const head = groups.slice(0, 6).join(' ');
  if (head === '0 0 0 0 0 65535' || head === '0 0 0 0 0 0') return at(6);
  if (head === '100 65435 0 0 0 0') return at(6);
  return groups[0] === 0x2002 ? at(1) : null;
}

/** Of an address as the URL parser writes it: hexadecimal groups, at most one `::`. */
function groupsOf(text: string): number[] {
  const [head = '', tail] = text.split('::');
  const numbers = (part: string) => (part === '' ? [] : part.split(':').map((group) => Number.parseInt(group, 16)));
  if (tail === undefined) return numbers(head);
  const left = numbers(head);
  const right = numbers(tail);
  return [...left, ...Array.from({ length: GROUPS - left.length - right.length }, () => 0), ...right];
}
