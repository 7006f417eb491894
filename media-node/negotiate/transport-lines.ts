/** The transport half of a negotiation: what is read of the peer's description, what is written into ours. */
import { ProblemError } from '../../shared/errors.ts';
import { transportSection } from '../../shared/sdp/bundle.ts';
import { badSdp } from '../../shared/sdp/parse.ts';
import type { Attribute, SessionDescription, Setup } from '../../shared/sdp/types.ts';
import type { LocalCandidate, LocalTransport, RemoteTransport } from './plan.ts';

/** Session-level ICE options, repeated in restart fragments (protocol.md #66). Peers may trickle to us. */
export const ICE_OPTIONS = ['trickle'] as const;

/** A host candidate's type preference (RFC 8445 §5.1.2.2). */
const HOST_PREFERENCE = 126;
const MAX_LOCAL_PREFERENCE = 65_535;
const RTP_COMPONENT = 1;
/**
 * Above this the sections after the tagged one get one candidate only, so that answers stay short (protocol.md #30).
 */
const MAX_REPEATED_CANDIDATES = 6;

export function attribute(name: string, value: string | null = null): Attribute {
  return { name, value };
}

/**
 * The peer's transport, from the section that carries the bundle.
 * @param setupRole whose role the peer's `a=setup` leaves us
 * @throws ProblemError 400 `bad_sdp` when credentials, fingerprint or role are missing or make no sense
 */
export function readRemoteTransport(
  description: SessionDescription,
  setupRole: (theirs: Setup | null) => RemoteTransport['dtlsRole'],
): RemoteTransport {
  const section = transportSection(description);
  if (section === null) throw new ProblemError(422, 'no_media', 'the description holds no usable media section');
  if (section.ice === null) throw badSdp('the description lacks a valid a=ice-ufrag and a=ice-pwd');
  if (section.fingerprints.length === 0) throw badSdp('the description lacks a valid a=fingerprint');
  return {
    ice: { ufrag: section.ice.ufrag, pwd: section.ice.pwd },
    fingerprints: section.fingerprints.map(({ algorithm, value }) => ({ algorithm, value })),
    dtlsRole: setupRole(section.setup),
  };
}

/** We answer: passive unless the peer insists on being passive itself, as FFmpeg does (protocol.md #102). */
export function roleAsAnswerer(theirs: Setup | null): RemoteTransport['dtlsRole'] {
  if (theirs === 'holdconn') throw badSdp('a=setup:holdconn cannot start a session');
  return theirs === 'passive' ? 'client' : 'server';
}

/** The peer answered our `actpass`: it must have chosen (RFC 8842 §5.3); unsaid means active (RFC 4145 §4). */
export function roleAsOfferer(theirs: Setup | null): RemoteTransport['dtlsRole'] {
  if (theirs === 'actpass' || theirs === 'holdconn') throw badSdp('an answer must say a=setup:active or passive');
  return theirs === 'passive' ? 'client' : 'server';
}

/** `a=ice-lite` and what else stands before the first section. */
export function sessionAttributes(mids: readonly string[], allowMixed: boolean): Attribute[] {
  const attributes: Attribute[] = [];
  if (mids.length > 0) attributes.push(attribute('group', `BUNDLE ${mids.join(' ')}`));
  if (allowMixed) attributes.push(attribute('extmap-allow-mixed'));
  attributes.push(attribute('ice-lite'), attribute('ice-options', ICE_OPTIONS.join(' ')));
  return attributes;
}

/** Credentials, fingerprint and role; on every section, because clients look for them there (protocol.md #105). */
export function transportAttributes(local: LocalTransport, setup: Setup): Attribute[] {
  return [
    attribute('ice-ufrag', local.ice.ufrag),
    attribute('ice-pwd', local.ice.pwd),
    attribute('fingerprint', `${local.fingerprint.algorithm} ${local.fingerprint.value}`),
    attribute('setup', setup),
  ];
}

/**
 * All candidates and their end on the tagged section; the others repeat them while that is short (whepsrc reads one of
 * each).
 */
export function candidateAttributes(local: LocalTransport, tagged: boolean): Attribute[] {
  const values = candidateValues(local.candidates);
  const repeated = values.length <= MAX_REPEATED_CANDIDATES ? values : values.slice(0, 1);
  return [
    ...(tagged ? values : repeated).map((value) => attribute('candidate', value)),
    attribute('end-of-candidates'),
  ];
}

/** Values of `a=candidate`, in the given order, which is also that of their priority. */
export function candidateValues(candidates: readonly LocalCandidate[]): string[] {
  return candidates.map(({ address, port }, index) => {
    const priority = HOST_PREFERENCE * 2 ** 24 + (MAX_LOCAL_PREFERENCE - index) * 2 ** 8 + (256 - RTP_COMPONENT);
    return `${index + 1} ${RTP_COMPONENT} udp ${priority} ${address} ${port} typ host`;
  });
}

/**
 * The session id of an `o=` line: a number of at most 53 bits that comes from our first credentials, which are random and
 * new for each session (RFC 8829 §5.2.1 wants 63 random bits at most).
 */
export function originNumber(local: LocalTransport): number {
  let hash = 0;
  for (const character of `${local.ice.ufrag}:${local.ice.pwd}`) {
    hash = (hash * 257 + (character.codePointAt(0) ?? 0)) % 9_007_199_254_739;
  }
  return hash;
}

/** @param version one more with each description of the session (RFC 3264 §8) */
export function originLine(session: number, version: number): string {
  return `- ${session} ${version} IN IP4 0.0.0.0`;
}
