/** What a member says of a track in the `i=` line of its media section: `<purpose> <muted> <label>`. */
import type { TrackInfo } from './protocol/control.ts';

/** Of a section without a readable `i=` line. */
export const DEFAULT_TRACK_INFO: TrackInfo = { purpose: 'guest', muted: false, label: 'Guest' };

/**
 * `a=vestibule-track:<name>` in the sections that a listener is offered: the same for one track of one member wherever it is
 * listened to, and whatever session it comes from. Clients that do not know it ignore it (RFC 8866 §5.13).
 */
export const LISTENED_TRACK_ATTRIBUTE = 'vestibule-track';

const MAX_LABEL_LENGTH = 64;
/** purpose 1 guest, 2 main; muted 1 yes, 2 no; a label without white space. */
const TRACK_INFO = /^([12]) ([12]) (\S+)$/;

/**
 * @param text the value of the `i=` line; null when there is none
 * @param fallback when it is missing or malformed; a label that is too long counts as malformed
 */
export function readTrackInfo(text: string | null, fallback: TrackInfo = DEFAULT_TRACK_INFO): TrackInfo {
  const [, purpose, muted, label] = TRACK_INFO.exec(text?.trim() ?? '') ?? [];
  if (label === undefined || label.length > MAX_LABEL_LENGTH) return fallback;
  return { purpose: purpose === '2' ? 'main' : 'guest', muted: muted === '1', label };
}

/** The value of the `i=` line. */
export function writeTrackInfo({ purpose, muted, label }: TrackInfo): string {
  return `${purpose === 'main' ? 2 : 1} ${muted ? 1 : 2} ${label}`;
}
