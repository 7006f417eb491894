/** Which sections of a description are alive, and which one carries the transport of all of them (RFC 9143). */
import type { MediaSection, SessionDescription } from './types.ts';

/**
 * Port 0 means rejected, except together with `a=bundle-only`: that section lives on the transport of its group
 * (RFC 9143 §6; protocol.md #99: GStreamer offers so).
 */
export function isLive(section: MediaSection): boolean {
  return section.port !== 0 || section.bundleOnly;
}

/** Live audio and video sections, in the order of the description. */
export function liveMedia(description: SessionDescription): MediaSection[] {
  return description.media.filter(
    (section) => isLive(section) && (section.kind === 'audio' || section.kind === 'video'),
  );
}

/**
 * Mids of the first `BUNDLE` group, as written (they may name sections that are not there: FFmpeg 8.0); null: no group.
 */
export function bundleMids(description: SessionDescription): readonly string[] | null {
  return description.groups.find((group) => group.semantics.toUpperCase() === 'BUNDLE')?.mids ?? null;
}

/**
 * The section whose transport attributes count for the whole bundle: the first live one that the group names, of any
 * kind; without a group the first live one. Null when nothing lives.
 */
export function transportSection(description: SessionDescription): MediaSection | null {
  const live = description.media.filter(isLive);
  const byMid = new Map(live.map((section) => [section.mid, section]));
  for (const mid of bundleMids(description) ?? []) {
    const section = byMid.get(mid);
    if (section !== undefined) return section;
  }
  return live[0] ?? null;
}
