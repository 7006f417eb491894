/**
 * What two nodes of a relay say to each other about simulcast layers: application-defined RTCP packets (RFC 3550 §6.7).
 * Both are said again every second, so a lost one is of no account.
 */
import type { RtcpWriter } from '../rtcp/write.ts';

/** ASCII `VLAY`. */
const NAME = 0x564c4159;
/** Upstream: the layers that there are. */
const OFFERED = 1;
/** Downstream: those that it wants to have. */
const WANTED = 2;
const OFFER_WORDS = 3;
/** More than a track has layers, for each track of a relay. */
const MAX_WORDS = 240;

/** In place of an SSRC: the best layer of the track, whichever that is. */
export const BEST = 0;

/** One layer; best first. */
export interface OfferedLayer {
  ssrc: number;
  bitrateBps: number;
  width: number;
  height: number;
}

export function writeOffered(writer: RtcpWriter, ssrc: number, layers: readonly OfferedLayer[]): boolean {
  const words = layers.flatMap((layer) => [layer.ssrc, layer.bitrateBps, layer.width * 0x10000 + layer.height]);
  return writer.application(OFFERED, ssrc, NAME, words, Math.min(words.length, MAX_WORDS));
}

/** @param ssrcs of the wanted layers of all tracks; `BEST` for the best of each */
export function writeWanted(writer: RtcpWriter, ssrc: number, ssrcs: readonly number[]): boolean {
  return writer.application(WANTED, ssrc, NAME, ssrcs, Math.min(ssrcs.length, MAX_WORDS));
}

/** Null when the packet says something else. */
export function readOffered(subtype: number, name: number, words: readonly number[]): OfferedLayer[] | null {
  if (name !== NAME || subtype !== OFFERED) return null;
  const layers: OfferedLayer[] = [];
  for (let at = 0; at + OFFER_WORDS <= words.length; at += OFFER_WORDS) {
    const [ssrc = 0, bitrateBps = 0, size = 0] = words.slice(at, at + OFFER_WORDS);
    layers.push({ ssrc, bitrateBps, width: size >>> 16, height: size & 0xffff });
  }
  return layers;
}

/** Null when the packet says something else. */
export function readWanted(subtype: number, name: number, words: readonly number[]): readonly number[] | null {
  return name === NAME && subtype === WANTED ? words : null;
}
