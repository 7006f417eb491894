/** The body of a 200 to an ICE restart (RFC 9725 §4.3.3). */
import { printFragment } from '../../shared/sdpfrag.ts';
import type { LocalTransport } from './plan.ts';
import { candidateValues, ICE_OPTIONS } from './transport-lines.ts';

/**
 * @param local with the new credentials
 * @param mids of the accepted m-sections, the BUNDLE-tagged one first
 */
export function restartFragment(local: LocalTransport, mids: readonly string[]): string {
  return printFragment({
    ice: local.ice,
    iceLite: true,
    iceOptions: ICE_OPTIONS,
    mids,
    candidates: candidateValues(local.candidates),
  });
}
