/** What a bad network does to datagrams, reproducibly. */

/** What happens to one datagram: `drop`, or its delay in milliseconds (0: none). */
export type Impairment = (datagram: Buffer) => number | 'drop';

export interface Impairments {
  /** Of what the client sends. */
  outgoing?: Impairment;
  /** Of what the client receives. */
  incoming?: Impairment;
}

/** SRTP and SRTCP (RFC 7983). */
export function isMedia(datagram: Buffer): boolean {
  const first = datagram[0] ?? 0;
  return first >= 128 && first <= 191;
}

/** SRTCP among media (RFC 5761 §4). */
export function isRtcpDatagram(datagram: Buffer): boolean {
  const second = datagram[1] ?? 0;
  return isMedia(datagram) && second >= 192 && second <= 223;
}

/** Uniform numbers in [0, 1) from a seed: mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Loses that share of media datagrams; STUN and DTLS get through, so that a test does not wait for their timers. */
export function mediaLoss(share: number, seed: number): Impairment {
  const random = seededRandom(seed);
  return (datagram) => (isMedia(datagram) && random() < share ? 'drop' : 0);
}

/** Loses that share of all datagrams. */
export function loss(share: number, seed: number): Impairment {
  const random = seededRandom(seed);
  return () => (random() < share ? 'drop' : 0);
}

/** Delays each datagram by something between the two, so that packets overtake each other. */
export function jitter(leastMs: number, mostMs: number, seed: number): Impairment {
  const random = seededRandom(seed);
  return () => leastMs + random() * (mostMs - leastMs);
}
