/**
 * Values of single attributes. Each reader returns null for a value that makes no sense: an attribute that cannot be
 * understood counts as absent, as RFC 8866 §5.13 wants it for unknown ones; what has to be there is the offer rules'
 * business. All of them are linear in the length of the value.
 */
import type {
  CandidateAttribute,
  Direction,
  ExtensionMap,
  FingerprintAttribute,
  Group,
  MsidAttribute,
  RidAttribute,
  Setup,
  SimulcastAttribute,
  SsrcGroup,
} from './types.ts';

const MAX_UINT32 = 0xffff_ffff;
const MAX_PORT = 65_535;
export const MAX_PAYLOAD_TYPE = 127;
/** Identifiers of two-byte header extensions end here (RFC 8285 §4.3). */
const MAX_EXTENSION_ID = 255;

/** Digest lengths in bytes of the hash functions of RFC 8122 §5; MD5 and MD2 are refused there. */
const DIGEST_BYTES: ReadonlyMap<string, number> = new Map([
  ['sha-1', 20],
  ['sha-224', 28],
  ['sha-256', 32],
  ['sha-384', 48],
  ['sha-512', 64],
]);

/** RFC 8839 §5.4 ice-char, and the four more that libwebrtc lets pass for old clients. */
const ICE_UFRAG = /^[A-Za-z0-9+/=_#-]{4,256}$/;
const ICE_PWD = /^[A-Za-z0-9+/=_#-]{22,256}$/;
/** RFC 8866 token, of a length that somebody might mean. */
const MID = /^[!#$%&'*+.^_`{|}~0-9A-Za-z-]{1,128}$/;
const RID = /^[A-Za-z0-9_-]{1,255}$/;
const DIGITS = /^[0-9]{1,10}$/;

/** A decimal number of at most `max`, or null. */
export function readUint(text: string | undefined, max: number): number | null {
  if (text === undefined || !DIGITS.test(text)) return null;
  const value = Number(text);
  return value <= max ? value : null;
}

/** Words between runs of blanks. */
export function words(text: string): string[] {
  return text.split(/[ \t]+/).filter((word) => word !== '');
}

export function readMid(value: string): string | null {
  return MID.test(value) ? value : null;
}

export function isIceUfrag(text: string): boolean {
  return ICE_UFRAG.test(text);
}

export function isIcePwd(text: string): boolean {
  return ICE_PWD.test(text);
}

export function isDirection(text: string): text is Direction {
  return text === 'sendrecv' || text === 'sendonly' || text === 'recvonly' || text === 'inactive';
}

export function readSetup(value: string): Setup | null {
  return value === 'active' || value === 'passive' || value === 'actpass' || value === 'holdconn' ? value : null;
}

export function readFingerprint(value: string): FingerprintAttribute | null {
  const [algorithm, digest, ...rest] = words(value);
  if (algorithm === undefined || digest === undefined || rest.length > 0) return null;
  const bytes = DIGEST_BYTES.get(algorithm.toLowerCase());
  if (bytes === undefined || digest.length !== bytes * 3 - 1) return null;
  if (!/^[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})*$/.test(digest)) return null;
  return { algorithm: algorithm.toLowerCase(), value: digest.toUpperCase() };
}

export function readGroup(value: string): Group | null {
  const [semantics, ...mids] = words(value);
  return semantics === undefined ? null : { semantics, mids };
}

/** `<id>[/<direction>] <uri> [<attributes>]` */
export function readExtensionMap(value: string): ExtensionMap | null {
  const [head, uri] = words(value);
  if (head === undefined || uri === undefined) return null;
  const [idText, direction, ...rest] = head.split('/', 3);
  const id = readUint(idText, MAX_EXTENSION_ID);
  if (id === null || id === 0 || rest.length > 0) return null;
  if (direction === undefined) return { id, direction: null, uri };
  return isDirection(direction) ? { id, direction, uri } : null;
}

/** `<id> send|recv [pt=96,97;max-width=…]` */
export function readRid(value: string): RidAttribute | null {
  const [id, direction, restrictions] = words(value);
  if (id === undefined || !RID.test(id)) return null;
  if (direction !== 'send' && direction !== 'recv') return null;
  const payloadTypes: number[] = [];
  for (const restriction of (restrictions ?? '').split(';')) {
    if (!restriction.startsWith('pt=')) continue;
    for (const text of restriction.slice(3).split(',')) {
      const payloadType = readUint(text, MAX_PAYLOAD_TYPE);
      if (payloadType !== null) payloadTypes.push(payloadType);
    }
  }
  return { id, direction, payloadTypes };
}

/** `send a;b,c;~d recv e`, either half or both; also `send rid=a;b` as old drafts had it. */
export function readSimulcast(value: string): SimulcastAttribute | null {
  const parts = words(value);
  const halves: { send: string[][]; recv: string[][] } = { send: [], recv: [] };
  for (let at = 0; at < parts.length; at += 2) {
    const direction = parts[at];
    const list = parts[at + 1];
    if ((direction !== 'send' && direction !== 'recv') || list === undefined) return null;
    for (const stream of list.replace(/^rid=/, '').split(';')) {
      const alternatives = stream.split(',').map((id) => (id.startsWith('~') ? id.slice(1) : id));
      if (!alternatives.every((id) => RID.test(id))) return null;
      halves[direction].push(alternatives);
    }
  }
  return halves.send.length + halves.recv.length > 0 ? halves : null;
}

/** `<stream> [<track>]`; the stream `-` means none. */
export function readMsid(value: string): MsidAttribute | null {
  const [stream, track] = words(value);
  return stream === undefined ? null : { stream, track: track ?? null };
}

/** The SSRC of an `a=ssrc:<n> …` line. */
export function readSsrc(value: string): number | null {
  const blank = value.indexOf(' ');
  return readUint(blank < 0 ? value : value.slice(0, blank), MAX_UINT32);
}

export function readSsrcGroup(value: string): SsrcGroup | null {
  const [semantics, ...members] = words(value);
  if (semantics === undefined || members.length === 0) return null;
  const ssrcs: number[] = [];
  for (const member of members) {
    const ssrc = readUint(member, MAX_UINT32);
    if (ssrc === null) return null;
    ssrcs.push(ssrc);
  }
  return { semantics, ssrcs };
}

/**
 * The value of `a=candidate:` (RFC 8839 §5.1). A component of 0 is read as 1 (a client numbers from 0). Names and
 * unknown transports are read too: whoever connects drops them.
 */
export function readCandidate(value: string): CandidateAttribute | null {
  const [foundation, component, transport, priority, address, port, typ, type, ...extensions] = words(value);
  if (foundation === undefined || transport === undefined || address === undefined) return null;
  if (typ !== 'typ' || type === undefined) return null;
  const componentNumber = readUint(component, 256);
  const priorityNumber = readUint(priority, MAX_UINT32);
  const portNumber = readUint(port, MAX_PORT);
  if (componentNumber === null || priorityNumber === null || portNumber === null) return null;
  let ufrag: string | null = null;
  for (let at = 0; at + 1 < extensions.length; at += 2) {
    if (extensions[at] === 'ufrag') ufrag = extensions[at + 1] ?? null;
  }
  return {
    foundation,
    component: Math.max(1, componentNumber),
    transport: transport.toLowerCase(),
    priority: priorityNumber,
    address,
    port: portNumber,
    type,
    ufrag,
  };
}
