/**
 * `application/trickle-ice-sdpfrag` (RFC 8840 §9) as WHIP and WHEP clients really write it: candidates to add, or the
 * new credentials of an ICE restart (RFC 9725 §4.3). Lenient where protocol.md #53a lists a client that needs it.
 */
import { z } from 'zod';
import { ProblemError } from './errors.ts';
import { isIcePwd, isIceUfrag, readCandidate } from './sdp/attributes.ts';
import { readAttribute, splitSdpLines } from './sdp/parse.ts';
import type { CandidateAttribute, IceParameters } from './sdp/types.ts';

/** A fragment has one pseudo m-line per mid at most; the SDP limits on length and lines hold as well. */
const MAX_FRAGMENT_SECTIONS = 128;

export interface FragmentSection {
  /** Null: no `a=mid` was given, so the BUNDLE-tagged section is meant. */
  readonly mid: string | null;
  readonly ice: IceParameters | null;
  readonly candidates: readonly CandidateAttribute[];
  readonly endOfCandidates: boolean;
}

export interface IceFragment {
  /** Session level first, else the first section that has them; null: none anywhere. */
  readonly ice: IceParameters | null;
  /** What stood before any m-line comes first, with a null mid. */
  readonly sections: readonly FragmentSection[];
}

interface OpenSection {
  mid: string | null;
  ufrag: string | null;
  pwd: string | null;
  candidates: CandidateAttribute[];
  endOfCandidates: boolean;
}

function badFragment(detail: string): ProblemError {
  return new ProblemError(400, 'bad_fragment', detail);
}

/**
 * Parses a fragment. Unknown attributes, SDP lines other than `m=` and `a=`, and the kind, port and protocol of m-lines
 * are ignored. A body that begins with `{` is read as the JSON candidate of react-native-whip-whep.
 * @throws ProblemError 400 `bad_fragment`
 */
export function parseFragment(text: string): IceFragment {
  const sections = text.trimStart().startsWith('{') ? [readJsonCandidate(text)] : readSections(text);
  const [session, ...media] = sections.map(closeSection);
  if (session === undefined) throw badFragment('the fragment is empty');
  const ice = session.ice ?? media.find((section) => section.ice !== null)?.ice ?? null;
  return { ice, sections: [session, ...media] };
}

/**
 * The peer's credentials when the fragment restarts ICE, null when it is an ordinary trickle. A restart is told by
 * changed credentials alone: `If-Match: *` comes with plain candidates too (MediaMTX).
 * @throws ProblemError 400 `bad_fragment` when only one of the two changed (RFC 8839 §4.4.1.1.1: both must)
 */
export function restartCredentials(fragment: IceFragment, current: IceParameters): IceParameters | null {
  if (fragment.ice === null) return null;
  const newUfrag = fragment.ice.ufrag !== current.ufrag;
  const newPwd = fragment.ice.pwd !== current.pwd;
  if (newUfrag !== newPwd) throw badFragment('an ICE restart changes both a=ice-ufrag and a=ice-pwd');
  return newUfrag ? fragment.ice : null;
}

export interface FragmentSource {
  readonly ice: IceParameters;
  readonly iceLite: boolean;
  readonly iceOptions: readonly string[];
  /** Members of the bundle, the tagged one first; its kind does not matter (RFC 8840 §9). */
  readonly mids: readonly string[];
  /** Values of `a=candidate`, without the name. */
  readonly candidates: readonly string[];
}

/**
 * The body of a 200 to an ICE restart: CRLF on every line, exactly one ufrag and pwd (medooze reads them by regular
 * expression), all candidates under the tagged section, and the end of them (protocol.md #65, #66, #74).
 */
export function printFragment({ ice, iceLite, iceOptions, mids, candidates }: FragmentSource): string {
  const lines: string[] = [];
  if (iceLite) lines.push('a=ice-lite');
  if (iceOptions.length > 0) lines.push(`a=ice-options:${iceOptions.join(' ')}`);
  if (mids.length > 0) lines.push(`a=group:BUNDLE ${mids.join(' ')}`);
  lines.push(`a=ice-ufrag:${ice.ufrag}`, `a=ice-pwd:${ice.pwd}`, 'm=audio 9 UDP/TLS/RTP/SAVPF 0');
  if (mids[0] !== undefined) lines.push(`a=mid:${mids[0]}`);
  for (const candidate of candidates) lines.push(`a=candidate:${candidate}`);
  lines.push('a=end-of-candidates');
  return `${lines.join('\r\n')}\r\n`;
}

function openSection(): OpenSection {
  return { mid: null, ufrag: null, pwd: null, candidates: [], endOfCandidates: false };
}

function readSections(text: string): OpenSection[] {
  let section = openSection();
  const sections = [section];
  let meaningful = false;
  for (const { type, value } of fragmentLines(text)) {
    if (type === 'm') {
      if (sections.length > MAX_FRAGMENT_SECTIONS) throw badFragment('the fragment has too many m= lines');
      section = openSection();
      sections.push(section);
    }
    if (type === 'a') applyAttribute(section, value);
    meaningful ||= type === 'm' || type === 'a';
  }
  if (!meaningful) throw badFragment('the fragment holds no ICE attribute');
  return sections;
}

function fragmentLines(text: string): ReturnType<typeof splitSdpLines> {
  try {
    return splitSdpLines(text);
  } catch (error) {
    if (error instanceof ProblemError) throw badFragment(error.detail.replace(/^SDP/, 'the fragment'));
    throw error;
  }
}

function applyAttribute(section: OpenSection, line: string): void {
  const attribute = readAttribute(line);
  const value = attribute.value?.trim() ?? '';
  if (attribute.name === 'mid' && value !== '') section.mid = value;
  else if (attribute.name === 'ice-ufrag') section.ufrag = value;
  else if (attribute.name === 'ice-pwd') section.pwd = value;
  else if (attribute.name === 'end-of-candidates') section.endOfCandidates = true;
  else if (attribute.name === 'candidate') applyCandidate(section, value);
}

function applyCandidate(section: OpenSection, value: string): void {
  // The last candidate event of a browser has an empty text, which some clients send on as it is.
  if (value === '') {
    section.endOfCandidates = true;
    return;
  }
  const candidate = readCandidate(value);
  if (candidate === null) throw badFragment('the fragment has a malformed a=candidate');
  section.candidates.push(candidate);
}

function closeSection({ ufrag, pwd, ...rest }: OpenSection): FragmentSection {
  if (ufrag === null && pwd === null) return { ...rest, ice: null };
  if (ufrag === null || pwd === null) throw badFragment('a=ice-ufrag and a=ice-pwd belong together');
  if (!isIceUfrag(ufrag) || !isIcePwd(pwd)) throw badFragment('a=ice-ufrag or a=ice-pwd is malformed');
  return { ...rest, ice: { ufrag, pwd } };
}

const jsonCandidateSchema = z.object({
  candidate: z.string(),
  sdpMid: z.string().nullish(),
  usernameFragment: z.string().nullish(),
});

/** `RTCIceCandidateInit` under the wrong media type: a courtesy, the client survives a 400 as well. */
function readJsonCandidate(text: string): OpenSection {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch {
    throw badFragment('the fragment is neither SDP nor JSON');
  }
  const parsed = jsonCandidateSchema.safeParse(json);
  if (!parsed.success) throw badFragment('the fragment holds no candidate');
  const section = openSection();
  section.mid = parsed.data.sdpMid ?? null;
  applyCandidate(
    section,
    parsed.data.candidate
      .trim()
      .replace(/^a=/, '')
      .replace(/^candidate:/, ''),
  );
  const ufrag = parsed.data.usernameFragment ?? null;
  section.candidates = section.candidates.map((candidate) => ({ ...candidate, ufrag: candidate.ufrag ?? ufrag }));
  return section;
}
