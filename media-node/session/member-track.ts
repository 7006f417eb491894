import type { TrackInfo } from '../../shared/protocol/control.ts';
import type { WantedTrack } from '../negotiate/plan.ts';

/** A member's track as the others get it; `info` changes with its mute. */
export interface MemberTrack extends WantedTrack {
  info: TrackInfo;
}
