/** Keys as the addon wants them. */
import type { SrtpKeys } from '../../transport/types.ts';
import { deriveSessionKeys, type PacketKeys } from '../srtp/session-keys.ts';

/** Numbers of the protection profiles; `addon/srtp.h` has the same list. */
export const PROFILES = { plain: 0, AEAD_AES_128_GCM: 1, AES_CM_128_HMAC_SHA1_80: 2 } as const;

/** Session keys as the addon wants them: RTP, then RTCP; cipher key, salt, authentication key (AES-CM only). */
export function sessionKeyBytes(keys: SrtpKeys): Buffer {
  const { rtp, rtcp } = deriveSessionKeys(keys.profile, keys.localKey, keys.localSalt);
  const bytes = ({ cipherKey, salt, authKey }: PacketKeys): Buffer[] => [
    cipherKey.export(),
    salt,
    ...(authKey === null ? [] : [authKey.export()]),
  ];
  return Buffer.concat([...bytes(rtp), ...bytes(rtcp)]);
}
