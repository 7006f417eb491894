/** RTP and RTCP on one transport (RFC 5761). */

/** An SRTP packet without payload, or an SRTCP packet with its index. */
export const MIN_DATAGRAM_BYTES = 12;
/** Larger ones do not come over a path with an MTU of 1500, and every buffer has room for these. */
export const MAX_DATAGRAM_BYTES = 2048;
const FIRST_RTCP_TYPE = 192;
const LAST_RTCP_TYPE = 223;

/** RFC 5761 §4: the second byte tells them apart. */
export function isRtcp(datagram: Buffer): boolean {
  const type = datagram[1] as number;
  return type >= FIRST_RTCP_TYPE && type <= LAST_RTCP_TYPE;
}
