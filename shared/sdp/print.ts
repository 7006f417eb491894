/** Session descriptions to text: CRLF on every line including the last, the line order of RFC 8866 §5. */
import type { Attribute, MediaSource, OtherLine, SdpSource } from './types.ts';

const CRLF = '\r\n';

/** Begins exactly `v=0\r\n` (protocol.md #30: FFmpeg and simple-whip-client compare). */
export function printSdp(description: SdpSource): string {
  const lines = ['v=0', `o=${description.origin}`, `s=${description.name}`];
  if (description.information !== null) lines.push(`i=${description.information}`);
  pushLines(lines, description.lines);
  pushAttributes(lines, description.attributes);
  for (const section of description.media) pushSection(lines, section);
  return lines.join(CRLF) + CRLF;
}

function pushSection(lines: string[], section: MediaSource): void {
  lines.push(`m=${section.kind} ${section.port} ${section.protocol} ${section.formats.join(' ')}`);
  if (section.information !== null) lines.push(`i=${section.information}`);
  pushLines(lines, section.lines);
  pushAttributes(lines, section.attributes);
}

function pushLines(lines: string[], others: readonly OtherLine[]): void {
  for (const { type, value } of others) lines.push(`${type}=${value}`);
}

function pushAttributes(lines: string[], attributes: readonly Attribute[]): void {
  for (const { name, value } of attributes) lines.push(value === null ? `a=${name}` : `a=${name}:${value}`);
}
