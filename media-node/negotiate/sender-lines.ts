/** How we name what we send: `a=msid`, `a=ssrc`, `FID` (RFC 8830, RFC 5576). */
import type { MediaKind } from '../../shared/protocol/control.ts';
import type { Attribute } from '../../shared/sdp/types.ts';
import { attribute } from './transport-lines.ts';

/** Random values of one viewer's session; minted by the caller, so that negotiation stays pure. */
export interface SenderIds {
  /** RTCP CNAME, one per session. */
  readonly cname: string;
  /** MediaStream id: the same on every section (draft-ietf-wish-whep §4.6). */
  readonly streamId: string;
  /** A new SSRC at every call, never 0 and never one given before. */
  nextSsrc(): number;
}

export function senderAttributes(
  kind: MediaKind,
  ids: Pick<SenderIds, 'cname' | 'streamId'>,
  ssrc: number,
  rtxSsrc: number | null,
): Attribute[] {
  return sourceAttributes(`${ids.streamId} ${ids.streamId}-${kind}`, ids.cname, ssrc, rtxSsrc);
}

/** Both members of the FID group are declared: Chrome refuses groups with undeclared ones (protocol.md #119). */
export function sourceAttributes(msid: string, cname: string, ssrc: number, rtxSsrc: number | null): Attribute[] {
  const attributes = [attribute('msid', msid)];
  if (rtxSsrc !== null) attributes.push(attribute('ssrc-group', `FID ${ssrc} ${rtxSsrc}`));
  for (const each of rtxSsrc === null ? [ssrc] : [ssrc, rtxSsrc]) {
    attributes.push(attribute('ssrc', `${each} cname:${cname}`), attribute('ssrc', `${each} msid:${msid}`));
  }
  return attributes;
}
