/**
 * Text to `SessionDescription`. Structure is judged here (lines, their order, sizes); what an offer must hold is in
 * `offer-rules.ts`. The work is linear in the length of the text and bounded by the limits below. Runs in workerd too.
 */
import { ProblemError } from '../errors.ts';
import { readGroup, readUint, words } from './attributes.ts';
import { readSection, type SectionDefaults, sectionDefaults } from './section.ts';
import type { Attribute, Group, MediaSection, MediaSource, OtherLine, SessionDescription } from './types.ts';

/** Browser offers reach some 12 KiB; a session with many sections stays well below. In UTF-16 units. */
export const MAX_SDP_LENGTH = 256 * 1024;
export const MAX_SDP_LINES = 8192;
export const MAX_SDP_LINE_LENGTH = 8192;
export const MAX_SDP_SECTIONS = 128;
const MAX_PORT = 65_535;

/** 400 `bad_sdp`. */
export function badSdp(detail: string): ProblemError {
  return new ProblemError(400, 'bad_sdp', detail);
}

interface RawSection extends MediaSource {
  readonly formats: string[];
  information: string | null;
  readonly lines: OtherLine[];
  readonly attributes: Attribute[];
}

/**
 * Parses an offer or an answer. Accepts CRLF and LF, empty lines, any `s=`, `t=` and `o=` value, and attributes that it
 * does not know.
 * @throws ProblemError 400 `bad_sdp`
 */
export function parseSdp(text: string): SessionDescription {
  const lines = splitSdpLines(text);
  const first = lines[0];
  if (first === undefined || first.type !== 'v' || first.value.trim() !== '0') throw badSdp('SDP must begin with v=0');
  let origin: string | null = null;
  let name = '-';
  let information: string | null = null;
  const others: OtherLine[] = [];
  const attributes: Attribute[] = [];
  const sections: RawSection[] = [];
  for (const { type, value } of lines.slice(1)) {
    const section = sections.at(-1);
    if (type === 'm') {
      if (sections.length === MAX_SDP_SECTIONS) throw badSdp('SDP has too many media sections');
      sections.push(readMediaLine(value));
    } else if (type === 'a') (section?.attributes ?? attributes).push(readAttribute(value));
    else if (type === 'i') {
      if (section === undefined) information = value;
      else section.information = value;
    } else if (section !== undefined) section.lines.push({ type, value });
    else if (type === 'o') origin ??= value;
    else if (type === 's') name = value;
    else if (type === 'v') throw badSdp('SDP has a second v= line');
    else others.push({ type, value });
  }
  if (origin === null) throw badSdp('SDP has no o= line');
  const defaults = sectionDefaults(attributes);
  return {
    origin,
    name,
    information,
    lines: others,
    attributes,
    media: readSections(sections, defaults),
    groups: readGroups(attributes),
    iceLite: attributes.some((attribute) => attribute.name === 'ice-lite'),
    iceOptions: attributes
      .filter((attribute) => attribute.name === 'ice-options')
      // OBS separates them by commas.
      .flatMap((attribute) => (attribute.value ?? '').split(/[ ,]/).filter((option) => option !== '')),
    extmapAllowMixed: attributes.some((attribute) => attribute.name === 'extmap-allow-mixed'),
  };
}

/**
 * `x=value` lines; empty lines are skipped.
 * @throws ProblemError 400 `bad_sdp` when a line has another shape or a limit is exceeded
 */
export function splitSdpLines(text: string): OtherLine[] {
  if (text.length > MAX_SDP_LENGTH) throw badSdp('SDP is too long');
  const lines: OtherLine[] = [];
  let start = 0;
  while (start < text.length) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, end > start && text.charCodeAt(end - 1) === 0x0d ? end - 1 : end);
    start = end + 1;
    if (line === '') continue;
    if (lines.length === MAX_SDP_LINES) throw badSdp('SDP has too many lines');
    if (line.length > MAX_SDP_LINE_LENGTH) throw badSdp('SDP has a line that is too long');
    const type = line.charAt(0);
    if (line.charAt(1) !== '=' || type < 'a' || type > 'z')
      throw badSdp('SDP has a line that is not of the form x=value');
    if (hasControlCharacter(line)) throw badSdp('SDP has a control character');
    lines.push({ type, value: line.slice(2) });
  }
  return lines;
}

function hasControlCharacter(line: string): boolean {
  for (let at = 0; at < line.length; at++) {
    const code = line.charCodeAt(at);
    if ((code < 0x20 && code !== 0x09) || code === 0x7f) return true;
  }
  return false;
}

/** `name[:value]`. The value stays as it came, blanks and all, so that what is parsed prints back the same. */
export function readAttribute(line: string): Attribute {
  const colon = line.indexOf(':');
  if (colon < 0) return { name: line.trim(), value: null };
  return { name: line.slice(0, colon).trim(), value: line.slice(colon + 1) };
}

/** `<kind> <port>[/<count>] <protocol> <format>…` */
function readMediaLine(value: string): RawSection {
  const [kind, portText, protocol, ...formats] = words(value);
  const port = readUint(portText?.split('/', 1)[0], MAX_PORT);
  if (kind === undefined || port === null || protocol === undefined || formats.length === 0) {
    throw badSdp('SDP has a malformed m= line');
  }
  return { kind: kind.toLowerCase(), port, protocol, formats, information: null, lines: [], attributes: [] };
}

function readSections(sections: readonly RawSection[], defaults: SectionDefaults): MediaSection[] {
  const mids = new Set<string>();
  return sections.map((source, index) => {
    const section = readSection(source, index, defaults);
    if (section.mid !== null) {
      if (mids.has(section.mid)) throw badSdp('SDP uses one mid for two media sections');
      mids.add(section.mid);
    }
    return section;
  });
}

function readGroups(attributes: readonly Attribute[]): Group[] {
  const groups: Group[] = [];
  for (const { name, value } of attributes) {
    const group = name === 'group' && value !== null ? readGroup(value) : null;
    if (group !== null) groups.push(group);
  }
  return groups;
}
