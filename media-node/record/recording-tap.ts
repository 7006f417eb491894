/**
 * A publisher's packets on their way to the recorder's thread: copied into batches, and left out, with a note of the gap,
 * when the thread is behind. Nothing here waits for anything.
 */
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { DesiredRecording } from '../../shared/protocol/control.ts';
import type { EgressMedia, SourceTrack } from '../forward/types.ts';
import type { Codec, EgressTrackPlan } from '../negotiate/plan.ts';
import type { NodeContext } from '../session/context.ts';
import { mintMediaIds } from '../session/media-ids.ts';
import { ORIENTATION_ID } from './media/track-input.ts';
import type { RecorderThread } from './recorder-thread.ts';
import { FIRST_PAYLOAD_TYPE, PACKET_HEAD_BYTES } from './worker-messages.ts';

const BATCH_BYTES = 64 * 1024;
const MAX_DATAGRAM_BYTES = 2_048;
/** Sent and not taken: beyond this packets are left out, until half of it is taken. 4 s of 16 Mb/s. */
const MAX_OUTSTANDING_BYTES = 8 * 1024 * 1024;
const NO_FEEDBACK = { nack: false, pli: false, fir: false, remb: false, transportCc: false };

/** A track that is to be recorded. */
export interface RecordedTrack {
  mid: string;
  codec: Codec;
  /** Null while the publisher's media is not up. */
  track: SourceTrack | null;
}

export interface RecordingTapOptions {
  context: NodeContext;
  thread: Pick<RecorderThread, 'send'>;
  recording: number;
  lobby: LobbyId;
  session: SessionId;
  format: DesiredRecording['format'];
}

export class RecordingTap {
  readonly #options: RecordingTapOptions;
  readonly #media: EgressMedia;
  readonly #tracks: readonly { mid: string; codec: Codec }[];
  #batch = Buffer.alloc(BATCH_BYTES);
  #batchBytes = 0;
  #outstandingBytes = 0;
  #dropping = false;
  #gap = false;
  /** What each track is at present. */
  #attached: readonly (SourceTrack | null)[] = [];
  /** Packets that were left out since the start. */
  dropped = 0;

  constructor(options: RecordingTapOptions, tracks: readonly RecordedTrack[]) {
    this.#options = options;
    this.#tracks = tracks.map(({ mid, codec }) => ({ mid, codec }));
    const { context, thread, recording, lobby, session, format } = options;
    const { cname, nextSsrc } = mintMediaIds();
    const plans = tracks.map(
      ({ codec }, index): EgressTrackPlan => ({
        mid: String(index),
        kind: codec.kind,
        sourceMid: tracks[index]?.mid ?? '',
        codec,
        payloadType: FIRST_PAYLOAD_TYPE + index,
        rtxPayloadType: null,
        extensions: { videoOrientation: ORIENTATION_ID },
        feedback: NO_FEEDBACK,
        ssrc: nextSsrc(),
        rtxSsrc: null,
        cname,
      }),
    );
    const described = plans.map(({ codec, sourceMid, ssrc }) => ({ mid: sourceMid, codec, ssrc }));
    thread.send({ type: 'open', recording, lobby, session, format, tracks: described });
    this.#media = context.forwarder.openEgress(
      {
        tracks: plans,
        keys: null,
        send: (datagram) => this.#take(datagram),
        // Those who ignore requests send a keyframe every few seconds: what is shown until then is in the file all the same.
        cachedStart: true,
        keyframeReason: 'recording',
        onAuthenticated: () => {},
      },
      context.now(),
    );
    this.attach(tracks);
  }

  /** Whether tracks of another session can go on in the same file. */
  matches(tracks: readonly RecordedTrack[]): boolean {
    return (
      tracks.length === this.#tracks.length &&
      tracks.every(({ codec }, index) => {
        const known = this.#tracks[index]?.codec;
        return known?.name === codec.name && known.channels === codec.channels && known.clockRate === codec.clockRate;
      })
    );
  }

  /** What is recorded from now on, track by track; the timeline goes on. */
  attach(tracks: readonly RecordedTrack[]): void {
    this.#follow(tracks.map(({ track }) => track));
  }

  /** Nobody publishes now. */
  detach(): void {
    this.#follow(this.#tracks.map(() => null));
  }

  /**
   * Packets of another source follow those of the former one without a gap in their numbers. Who left in the middle of a
   * picture has left half a picture: that something is missing has to be said.
   */
  #follow(sources: readonly (SourceTrack | null)[]): void {
    const nowMs = this.#options.context.now();
    const hasEnded = this.#attached.some((source, index) => source !== null && source !== sources[index]);
    if (hasEnded) {
      this.flush();
      this.#gap = true;
    }
    this.#attached = sources;
    for (const [index, source] of sources.entries()) this.#media.attach(String(index), source, nowMs);
  }

  requestKeyframe(track: number): void {
    if (track < this.#tracks.length) this.#media.requestKeyframe(String(track), this.#options.context.now());
  }

  #take(datagram: Buffer): void {
    if (this.#dropping || datagram.length > MAX_DATAGRAM_BYTES) {
      this.dropped++;
      this.#gap = true;
      return;
    }
    const needed = PACKET_HEAD_BYTES + datagram.length;
    if (this.#batchBytes + needed > BATCH_BYTES) this.flush();
    const at = this.#batchBytes;
    this.#batch.writeUInt32LE(datagram.length, at);
    this.#batch.writeDoubleLE(performance.timeOrigin + this.#options.context.now(), at + 4);
    datagram.copy(this.#batch, at + PACKET_HEAD_BYTES);
    this.#batchBytes += needed;
  }

  /** Hands over what was put together; called often. */
  flush(): void {
    if (this.#batchBytes === 0) return;
    const { thread, recording } = this.#options;
    const bytes = this.#batchBytes;
    // A copy of what is full, so that a trickle of sound does not cost a whole buffer each time.
    const data = this.#batch.buffer.slice(this.#batch.byteOffset, this.#batch.byteOffset + bytes) as ArrayBuffer;
    this.#batchBytes = 0;
    if (!thread.send({ type: 'batch', recording, data, bytes, gap: this.#gap }, [data])) return;
    this.#gap = false;
    this.#outstandingBytes += bytes;
    if (this.#outstandingBytes > MAX_OUTSTANDING_BYTES) this.#dropping = true;
  }

  /** The thread is done with so many bytes. */
  taken(bytes: number): void {
    this.#outstandingBytes -= bytes;
    if (!this.#dropping || this.#outstandingBytes > MAX_OUTSTANDING_BYTES / 2) return;
    this.#dropping = false;
    this.#options.context.log(`a recording of ${this.#options.lobby} has a gap: the disk was too slow`);
    for (const [index, { codec }] of this.#tracks.entries()) if (codec.kind === 'video') this.requestKeyframe(index);
  }

  /** No packet is taken any more; what was goes to the thread, which then ends the files. */
  close(): void {
    this.#media.close();
    this.flush();
    this.#options.thread.send({ type: 'close', recording: this.#options.recording });
  }
}
