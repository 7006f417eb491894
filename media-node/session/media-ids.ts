/** Random identifiers that a negotiation writes into SDP; minted here so that `negotiate/` stays pure. */
import { randomInt } from 'node:crypto';
import { randomBase32 } from '../../shared/ids.ts';

const SSRC_LIMIT = 2 ** 32;

export interface MediaIds {
  /** RTCP CNAME: short-term, per session (RFC 7022). */
  cname: string;
  /** MediaStream id of `a=msid`. */
  streamId: string;
  /** A new SSRC at every call, never 0 and never one given before. */
  nextSsrc(): number;
  /** A new token at every call. */
  nextId(): string;
}

export function mintMediaIds(): MediaIds {
  const taken = new Set<number>();
  return {
    cname: randomBase32(10),
    streamId: randomBase32(10),
    nextSsrc() {
      let ssrc = 0;
      while (ssrc === 0 || taken.has(ssrc)) ssrc = randomInt(SSRC_LIMIT);
      taken.add(ssrc);
      return ssrc;
    },
    nextId: () => randomBase32(10),
  };
}
