import { randomBase32 } from '../../shared/ids.ts';
import type { IceCredentials } from '../negotiate/plan.ts';

/** RFC 8445 §5.3 asks for 24 bits at least; 40 bits keep the fragments of one process apart, too (it routes by them). */
const UFRAG_BYTES = 5;
/** RFC 8445 §5.3: 128 bits at least. */
const PWD_BYTES = 16;

/**
 * Fresh ICE credentials: a `ufrag` of 8 and a `pwd` of 26 characters. Base32 is a subset of `ice-char` (RFC 8839 §5.4)
 * without `+` and `/`, which some clients escape wrongly in fragments and entity-tags.
 */
export function mintIceCredentials(): IceCredentials {
  return { ufrag: randomBase32(UFRAG_BYTES), pwd: randomBase32(PWD_BYTES) };
}
