/** A relay's downstream: another node's offer → our answer, the plan of what comes, and where to dial. Pure. */
import { ProblemError } from '../../shared/errors.ts';
import { isLive, transportSection } from '../../shared/sdp/bundle.ts';
import { printSdp } from '../../shared/sdp/print.ts';
import type { MediaSection, MediaSource, SessionDescription, Setup } from '../../shared/sdp/types.ts';
import { answerIngressSection } from './ingress-section.ts';
import type { IngressTrackPlan, LocalTransport, RemoteTransport } from './plan.ts';
import { rejectedSection, trackMid } from './sections.ts';
import { attribute, originLine, originNumber, readRemoteTransport } from './transport-lines.ts';

/** A track that comes by a relay. */
export interface PulledTrackPlan extends IngressTrackPlan {
  /** Tracks with the same value are one MediaStream. */
  stream: string;
}

/** Where the upstream can be reached. */
export interface RemoteCandidate {
  address: string;
  port: number;
}

export interface RelayAnswer {
  /** SDP text */
  answer: string;
  remote: RemoteTransport;
  tracks: PulledTrackPlan[];
  /** In the upstream's order of preference. */
  candidates: RemoteCandidate[];
  mids: string[];
}

/**
 * Takes every track. We dial, so the answer names no candidates, and we are a full agent, so it does not say `ice-lite`.
 * @throws ProblemError 400 `bad_sdp`; 422 `no_media` without a track or a candidate; 422 `no_common_codec`
 */
export function answerRelay(offer: SessionDescription, local: LocalTransport): RelayAnswer {
  // Whoever dials says hello: the ClientHello leaves as soon as a check was answered.
  const remote = readRemoteTransport(offer, (theirs) => (theirs === 'active' ? 'server' : 'client'));
  const setup: Setup = remote.dtlsRole === 'client' ? 'active' : 'passive';
  const dialling: LocalTransport = { ...local, candidates: [] };
  const tracks: PulledTrackPlan[] = [];
  const mids: string[] = [];
  const media = offer.media.map((section): MediaSource => {
    if (!isLive(section) || (section.kind !== 'audio' && section.kind !== 'video')) return rejectedSection(section);
    const { track, source } = answerIngressSection(section, setup, dialling, mids.length === 0);
    tracks.push({ ...track, ssrcs: named(track), stream: section.msids[0]?.stream ?? 's0' });
    mids.push(trackMid(section));
    return source;
  });
  const candidates = readCandidates(transportSection(offer));
  if (tracks.length === 0 || candidates.length === 0) {
    throw new ProblemError(422, 'no_media', 'the offer of the other node holds no track or no candidate');
  }
  const answer = printSdp({
    origin: originLine(originNumber(local), 1),
    name: '-',
    information: null,
    lines: [{ type: 't', value: '0 0' }],
    attributes: [attribute('group', `BUNDLE ${mids.join(' ')}`), attribute('extmap-allow-mixed')],
    media,
  });
  return { answer, remote, tracks, candidates, mids };
}

/** SSRCs of layers come in the order of their rids. */
function named({ rids, ssrcs }: IngressTrackPlan): IngressTrackPlan['ssrcs'] {
  if (rids.length !== ssrcs.length) return ssrcs;
  return ssrcs.map((ssrc, index) => ({ ...ssrc, rid: rids[index] ?? '' }));
}

function readCandidates(section: MediaSection | null): RemoteCandidate[] {
  return (section?.candidates ?? [])
    .filter(({ transport, type, component }) => transport === 'udp' && type === 'host' && component === 1)
    .toSorted((a, b) => b.priority - a.priority)
    .map(({ address, port }) => ({ address, port }));
}
