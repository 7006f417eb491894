/** What the two hellos of a DTLS 1.2 handshake offer and choose. */
import { ALERT, DtlsFailure } from './dtls-alert.ts';
import { CURVES, type Curve, ECDSA_SHA256, SIGNATURE_SCHEMES, SUPPORTED_CURVES } from './dtls-crypto.ts';
import type { SrtpProfile } from './types.ts';
import { ClientHello, ServerHello } from './werift-internals.ts';

const VERSION = { major: 254, minor: 253 } as const;
export const RANDOM_BYTES = 32;

/** Cipher suites of werift's record layer. Our certificate is ECDSA; a peer in the server role may have an RSA one. */
const ECDHE_ECDSA_AES128_GCM = 0xc02b;
const ECDHE_RSA_AES128_GCM = 0xc02f;

const EXTENSION = {
  supportedGroups: 10,
  pointFormats: 11,
  signatureAlgorithms: 13,
  useSrtp: 14,
  extendedMasterSecret: 23,
  renegotiationInfo: 0xff01,
} as const;
/** In the list of cipher suites it stands for an empty `renegotiation_info` (RFC 5746 §3.3). */
const EMPTY_RENEGOTIATION_INFO_SCSV = 0x00ff;
const EMPTY_RENEGOTIATION_INFO = Buffer.from([0]);
const UNCOMPRESSED_POINTS = Buffer.from([1, 0]);

export interface SrtpProfileChoice {
  readonly id: number;
  readonly name: SrtpProfile;
  readonly keyBytes: number;
  readonly saltBytes: number;
}

/** RFC 5764 §4.1.2 and RFC 7714 §14.2, ours first: GCM costs half of what AES-CM with HMAC does. */
export const SRTP_PROFILES: readonly SrtpProfileChoice[] = [
  { id: 0x0007, name: 'AEAD_AES_128_GCM', keyBytes: 16, saltBytes: 12 },
  { id: 0x0001, name: 'AES_CM_128_HMAC_SHA1_80', keyBytes: 16, saltBytes: 14 },
];

export interface HelloChoice {
  readonly suite: number;
  readonly profile: SrtpProfileChoice;
  /** RFC 7627 */
  readonly extendedMasterSecret: boolean;
}

/** The profiles of those names, in our order of preference. */
export function srtpProfiles(names: readonly SrtpProfile[]): readonly SrtpProfileChoice[] {
  return SRTP_PROFILES.filter(({ name }) => names.includes(name));
}

export function clientHello(random: Buffer, cookie: Buffer, profiles: readonly SrtpProfileChoice[]): Buffer {
  return new ClientHello(
    VERSION,
    splitRandom(random),
    Buffer.alloc(0),
    cookie,
    [ECDHE_ECDSA_AES128_GCM, ECDHE_RSA_AES128_GCM],
    [0],
    [
      { type: EXTENSION.useSrtp, data: useSrtp(profiles.map(({ id }) => id)) },
      { type: EXTENSION.supportedGroups, data: uint16List(SUPPORTED_CURVES) },
      { type: EXTENSION.pointFormats, data: UNCOMPRESSED_POINTS },
      { type: EXTENSION.signatureAlgorithms, data: uint16List(SIGNATURE_SCHEMES) },
      { type: EXTENSION.extendedMasterSecret, data: Buffer.alloc(0) },
      { type: EXTENSION.renegotiationInfo, data: EMPTY_RENEGOTIATION_INFO },
    ],
  ).serialize();
}

export interface ClientHelloAnswer extends HelloChoice {
  readonly curve: Curve;
  readonly clientRandom: Buffer;
  /** The ServerHello that says so. */
  readonly serverHello: Buffer;
}

/**
 * Chooses from a ClientHello what we support.
 *
 * @throws {DtlsFailure} when there is no common suite, curve, signature or SRTP profile
 * @throws other errors when it cannot be read
 */
export function answerClientHello(
  body: Buffer,
  serverRandom: Buffer,
  profiles: readonly SrtpProfileChoice[],
): ClientHelloAnswer {
  const hello = ClientHello.deSerialize(body);
  const offered = extensionMap(hello.extensions);
  if (!hello.cipherSuites.includes(ECDHE_ECDSA_AES128_GCM)) {
    throw new DtlsFailure(ALERT.handshakeFailure, 'no common cipher suite');
  }
  const groups = offered.get(EXTENSION.supportedGroups);
  const curve = groups === undefined ? CURVES.secp256r1 : firstCommon(SUPPORTED_CURVES, readUint16List(groups));
  if (curve === undefined) throw new DtlsFailure(ALERT.handshakeFailure, 'no common curve');
  const schemes = offered.get(EXTENSION.signatureAlgorithms);
  if (schemes !== undefined && !readUint16List(schemes).includes(ECDSA_SHA256)) {
    throw new DtlsFailure(ALERT.handshakeFailure, 'the peer cannot verify ECDSA with SHA-256');
  }
  const profile = chooseProfile(offered.get(EXTENSION.useSrtp), profiles);

  const answers = [{ type: EXTENSION.useSrtp as number, data: useSrtp([profile.id]) }];
  const extendedMasterSecret = offered.has(EXTENSION.extendedMasterSecret);
  if (extendedMasterSecret) answers.push({ type: EXTENSION.extendedMasterSecret, data: Buffer.alloc(0) });
  if (offered.has(EXTENSION.pointFormats)) answers.push({ type: EXTENSION.pointFormats, data: UNCOMPRESSED_POINTS });
  if (offered.has(EXTENSION.renegotiationInfo) || hello.cipherSuites.includes(EMPTY_RENEGOTIATION_INFO_SCSV)) {
    answers.push({ type: EXTENSION.renegotiationInfo, data: EMPTY_RENEGOTIATION_INFO });
  }
  const serverHello = new ServerHello(
    VERSION,
    splitRandom(serverRandom),
    Buffer.alloc(0),
    ECDHE_ECDSA_AES128_GCM,
    0,
    answers,
  ).serialize();
  const clientRandom = joinRandom(hello.random);
  return { suite: ECDHE_ECDSA_AES128_GCM, profile, extendedMasterSecret, curve, clientRandom, serverHello };
}

/**
 * Reads what the server chose from our ClientHello.
 *
 * @throws {DtlsFailure} when it chose something that was not offered
 * @throws other errors when it cannot be read
 */
export function readServerHello(
  body: Buffer,
  profiles: readonly SrtpProfileChoice[],
): HelloChoice & { serverRandom: Buffer } {
  const hello = ServerHello.deSerialize(body);
  const { major, minor } = hello.serverVersion;
  if (major !== VERSION.major || minor !== VERSION.minor) {
    throw new DtlsFailure(ALERT.illegalParameter, 'the peer wants another DTLS version');
  }
  const suite: number = hello.cipherSuite;
  if (suite !== ECDHE_ECDSA_AES128_GCM && suite !== ECDHE_RSA_AES128_GCM) {
    throw new DtlsFailure(ALERT.illegalParameter, 'the peer chose a cipher suite that was not offered');
  }
  const chosen = extensionMap(hello.extensions ?? []);
  return {
    suite,
    profile: chooseProfile(chosen.get(EXTENSION.useSrtp), profiles),
    extendedMasterSecret: chosen.has(EXTENSION.extendedMasterSecret),
    serverRandom: joinRandom(hello.random),
  };
}

function chooseProfile(useSrtpData: Buffer | undefined, ours: readonly SrtpProfileChoice[]): SrtpProfileChoice {
  const ids = useSrtpData === undefined ? [] : readUint16List(useSrtpData);
  const profile = ours.find(({ id }) => ids.includes(id));
  if (profile === undefined) throw new DtlsFailure(ALERT.handshakeFailure, 'no common SRTP profile');
  return profile;
}

function extensionMap(extensions: readonly { type: number; data: Buffer }[]): Map<number, Buffer> {
  return new Map(extensions.map(({ type, data }) => [type, data]));
}

function firstCommon<T extends number>(ours: readonly T[], theirs: readonly number[]): T | undefined {
  return ours.find((value) => theirs.includes(value));
}

/** Profiles, and no MKI (RFC 5764 §4.1.1). */
function useSrtp(ids: readonly number[]): Buffer {
  return Buffer.concat([uint16List(ids), Buffer.from([0])]);
}

function uint16List(values: readonly number[]): Buffer {
  const out = Buffer.alloc(2 + values.length * 2);
  out.writeUInt16BE(values.length * 2, 0);
  values.forEach((value, index) => {
    out.writeUInt16BE(value, 2 + index * 2);
  });
  return out;
}

function readUint16List(data: Buffer): number[] {
  const end = 2 + data.readUInt16BE(0);
  const values: number[] = [];
  for (let offset = 2; offset + 2 <= end; offset += 2) values.push(data.readUInt16BE(offset));
  return values;
}

function splitRandom(random: Buffer): { gmt_unix_time: number; random_bytes: Buffer } {
  return { gmt_unix_time: random.readUInt32BE(0), random_bytes: random.subarray(4) };
}

function joinRandom(random: { gmt_unix_time: number; random_bytes: Buffer }): Buffer {
  const out = Buffer.alloc(RANDOM_BYTES);
  out.writeUInt32BE(random.gmt_unix_time, 0);
  random.random_bytes.copy(out, 4);
  return out;
}
