/** Key pairs for two ends of a session that exist only in a test. */
import type { SrtpKeys, SrtpProfile } from '../../transport/types.ts';

/** Both ends' view of one DTLS exchange; `seed` makes sessions differ. */
export function keyPair(seed: number, profile: SrtpProfile = 'AEAD_AES_128_GCM'): { node: SrtpKeys; peer: SrtpKeys } {
  const saltBytes = profile === 'AEAD_AES_128_GCM' ? 12 : 14;
  const nodeKey = Buffer.alloc(16, seed & 0x7f);
  const nodeSalt = Buffer.alloc(saltBytes, (seed + 1) & 0x7f);
  const peerKey = Buffer.alloc(16, 0x80 | (seed & 0x7f));
  const peerSalt = Buffer.alloc(saltBytes, 0x80 | ((seed + 1) & 0x7f));
  return {
    node: { profile, localKey: nodeKey, localSalt: nodeSalt, remoteKey: peerKey, remoteSalt: peerSalt },
    peer: { profile, localKey: peerKey, localSalt: peerSalt, remoteKey: nodeKey, remoteSalt: nodeSalt },
  };
}

/** Reproducible randomness in [0, 1) (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}
