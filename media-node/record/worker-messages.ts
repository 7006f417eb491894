/** What the node's thread and the recorder's thread say to each other. */
import type { BootId, LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import type { DesiredRecording } from '../../shared/protocol/control.ts';
import type { Codec } from '../negotiate/plan.ts';

export interface RecorderSettings {
  /** Of this node alone; made when it is not there. */
  folder: string;
  boot: BootId;
  node: NodeId;
  edgeUrl: string;
  token: string;
  deleteAfterUpload: boolean;
  /** A file that is larger than this ends, and another begins. */
  maxFileBytes: number;
}

/** A track's place in a recording is its payload type on the tap, counted from this. */
export const FIRST_PAYLOAD_TYPE = 96;
/** Before each packet of a batch: its length (uint32) and when it came (float64, Unix ms). */
export const PACKET_HEAD_BYTES = 12;

export interface OpenRecording {
  type: 'open';
  recording: number;
  lobby: LobbyId;
  session: SessionId;
  format: DesiredRecording['format'];
  tracks: { mid: string; codec: Codec; ssrc: number }[];
}

export type ToRecorder =
  | OpenRecording
  /** `gap`: something was left out before it. */
  | { type: 'batch'; recording: number; data: ArrayBuffer; bytes: number; gap: boolean }
  | { type: 'close'; recording: number }
  /** Finish all files; what is not uploaded soon after is for the next process. Answered by `stopped`. */
  | { type: 'stop' };

export type FromRecorder =
  /** So many bytes of its batches are not held any more. */
  | { type: 'taken'; recording: number; bytes: number }
  | { type: 'keyframe'; recording: number; track: number }
  /** It records no more: why. `close` has been answered, or it failed. */
  | { type: 'ended'; recording: number; error: string | null }
  /** Of what was opened so far (so many recordings), and before: files that are being made, or on their way to the store. */
  | { type: 'left'; opened: number; files: number }
  | { type: 'log'; message: string }
  | { type: 'stopped' };
