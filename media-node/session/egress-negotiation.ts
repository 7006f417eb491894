/** How an egress session comes to its tracks: a player offers, or is offered to; another node is offered a relay. */
import { parseSdp } from '../../shared/sdp/parse.ts';
import type { SessionDescription } from '../../shared/sdp/types.ts';
import { answerPlay } from '../negotiate/answer-play.ts';
import { acceptPlayAnswer, offerPlay } from '../negotiate/offer-play.ts';
import type {
  DataChannelPlan,
  EgressTrackPlan,
  LocalTransport,
  RemoteTransport,
  SourceTrackInfo,
} from '../negotiate/plan.ts';
import type { RelayedTrackInfo } from '../negotiate/relay-formats.ts';
import { acceptRelayAnswer, offerRelay } from '../negotiate/relay-offer.ts';
import type { MediaIds } from './media-ids.ts';

export interface Settled {
  remote: RemoteTransport;
  tracks: readonly EgressTrackPlan[];
}

export interface EgressStart {
  /** Our answer, or our offer. */
  sdp: string;
  mids: readonly string[];
  /** Null: our offer is unanswered. */
  settled: Settled | null;
  dataChannel: DataChannelPlan | null;
  /** Takes the answer to our offer. @throws ProblemError 400 or 422 for one that does not fit */
  accept: ((answer: SessionDescription) => Settled) | null;
}

/** @throws ProblemError 400 or 422 when there can be no session */
export type EgressNegotiation = (local: LocalTransport, ids: MediaIds) => EgressStart;

/** @param offer the player's; null: we offer (legacy WHEP) */
export function toPlayer(offer: string | null, sources: readonly SourceTrackInfo[]): EgressNegotiation {
  return (local, ids) => {
    if (offer === null) {
      const { offer: sdp, pending, mids } = offerPlay(sources, local, ids);
      return { sdp, mids, settled: null, dataChannel: null, accept: (answer) => acceptPlayAnswer(pending, answer) };
    }
    const { answer, remote, tracks, mids, dataChannel } = answerPlay(parseSdp(offer), local, sources, ids);
    return { sdp: answer, mids, settled: { remote, tracks }, dataChannel, accept: null };
  };
}

export function toRelay(sources: readonly RelayedTrackInfo[]): EgressNegotiation {
  return (local, ids) => {
    const { offer, pending, mids } = offerRelay(sources, local, ids);
    return {
      sdp: offer,
      mids,
      settled: null,
      dataChannel: null,
      accept: (answer) => acceptRelayAnswer(pending, answer),
    };
  };
}
