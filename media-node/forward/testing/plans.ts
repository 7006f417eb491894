/** Track plans as negotiation would make them. */
import type { Codec, EgressTrackPlan, Feedback, IngressTrackPlan } from '../../negotiate/plan.ts';

const FEEDBACK: Feedback = { nack: true, pli: true, fir: false, remb: false, transportCc: false };
const VP8: Codec = { name: 'VP8', kind: 'video', clockRate: 90_000, channels: 1, fmtp: '' };
const OPUS: Codec = { name: 'opus', kind: 'audio', clockRate: 48_000, channels: 2, fmtp: '' };

export function videoIngress(changes: Partial<IngressTrackPlan> = {}): IngressTrackPlan {
  return {
    mid: '1',
    kind: 'video',
    codec: VP8,
    payloadType: 96,
    rtxPayloadType: 97,
    extensions: { mid: 4, rid: 10, repairedRid: 11, transportCc: 3, videoOrientation: 13 },
    feedback: FEEDBACK,
    rids: [],
    ssrcs: [{ primary: 0x1000, rtx: 0x1001 }],
    ...changes,
  };
}

export function audioIngress(changes: Partial<IngressTrackPlan> = {}): IngressTrackPlan {
  return {
    mid: '0',
    kind: 'audio',
    codec: OPUS,
    payloadType: 111,
    rtxPayloadType: null,
    extensions: { mid: 4, audioLevel: 1 },
    feedback: { ...FEEDBACK, nack: false, pli: false },
    rids: [],
    ssrcs: [{ primary: 0x2000, rtx: null }],
    ...changes,
  };
}

export function videoEgress(changes: Partial<EgressTrackPlan> = {}): EgressTrackPlan {
  return {
    mid: 'v',
    kind: 'video',
    sourceMid: '1',
    codec: VP8,
    payloadType: 120,
    rtxPayloadType: 121,
    extensions: { mid: 9, videoOrientation: 5 },
    feedback: FEEDBACK,
    ssrc: 0x5000,
    rtxSsrc: 0x5001,
    cname: 'vestibule',
    ...changes,
  };
}

export function audioEgress(changes: Partial<EgressTrackPlan> = {}): EgressTrackPlan {
  return {
    mid: 'a',
    kind: 'audio',
    sourceMid: '0',
    codec: OPUS,
    payloadType: 109,
    rtxPayloadType: null,
    extensions: { mid: 9 },
    feedback: { ...FEEDBACK, nack: false, pli: false },
    ssrc: 0x6000,
    rtxSsrc: null,
    cname: 'vestibule',
    ...changes,
  };
}
