/** One track on its way from packets to pictures: order, loss, and the time of each picture on the node's clock. */
import { isKeyframeStart } from '../../forward/codecs/keyframes.ts';
import { findExtension, paddingLength, parseRtpHeader, RtpHeader } from '../../forward/rtp-header.ts';
import { timestampDifference } from '../../forward/sequence.ts';
import type { CodecName } from '../../negotiate/plan.ts';
import { createDepacketiser, type Depacketiser, type Picture } from './depacketiser.ts';
import { MAX_PICTURE_BYTES } from './limits.ts';
import { ReorderBuffer } from './reorder-buffer.ts';

/** The id under which the tap sends `urn:3gpp:video-orientation`. */
export const ORIENTATION_ID = 1;
/** A sender report speaks of about now: what lies further away is broken, or a lie that would pull the tracks apart. */
const MAX_REPORT_DISTANCE_MS = 60_000;
const ROTATIONS = [0, 90, 180, 270] as const;
export type Rotation = (typeof ROTATIONS)[number];

export interface Frame extends Picture {
  /** RTP timestamp, extended: never wraps. */
  rtp: number;
  /** Clockwise, to stand upright. */
  rotation: Rotation;
}

export interface TrackInputEvents {
  onFrame(frame: Frame): void;
  /** A keyframe is needed before anything can be decoded again. */
  onNeedKeyframe(): void;
}

const header = new RtpHeader();

export class TrackInput {
  readonly kind: 'audio' | 'video';
  readonly codec: CodecName;
  readonly clockRate: number;
  /** Pictures that were left out because something of them, or of what they build on, never came. */
  framesLost = 0;
  readonly #events: TrackInputEvents;
  readonly #reorder: ReorderBuffer;
  readonly #depacketiser: Depacketiser;
  /** Unix ms of RTP time 0, by the newest sender report; NaN before it. */
  #offsetMs = Number.NaN;
  /** Of the newest packet, extended; NaN before the first. */
  #rtp = Number.NaN;
  #rotation: Rotation = 0;
  #waiting: boolean;
  #inFrame = false;
  /** The sender marks the last packet of a picture. */
  #marks = false;
  /** Of the picture that is being put together. */
  #pictureBytes = 0;

  constructor(codec: { name: CodecName; kind: 'audio' | 'video'; clockRate: number }, events: TrackInputEvents) {
    this.kind = codec.kind;
    this.codec = codec.name;
    this.clockRate = codec.clockRate;
    this.#events = events;
    this.#depacketiser = createDepacketiser(codec.name);
    this.#waiting = codec.kind === 'video';
    this.#reorder = new ReorderBuffer({
      packet: (rtp, arrivalMs) => this.#packet(rtp, arrivalMs),
      lost: () => this.#lost(),
    });
  }

  /** It has no picture to begin with, or lost one that others build on. */
  get waiting(): boolean {
    return this.#waiting;
  }

  /** Unix ms of RTP time 0; NaN before the first packet and report. */
  get offsetMs(): number {
    return this.#offsetMs;
  }

  /** A whole RTP packet; kept by reference. `arrivalMs`: Unix ms. */
  push(rtp: Buffer, arrivalMs: number): void {
    if (parseRtpHeader(rtp, rtp.length, header)) this.#reorder.push(rtp, arrivalMs);
  }

  /** At `unixMs` the source's RTP time is `rtp` (32 bits), says a report that came at `arrivalMs`. */
  noteSenderReport(rtp: number, unixMs: number, arrivalMs: number): void {
    // Comes ahead of the first packet.
    const known = Number.isNaN(this.#rtp) ? rtp : this.#rtp;
    const extended = known + timestampDifference(rtp, (known % 2 ** 32) | 0);
    const fromPacketsMs = (Math.abs(extended - known) * 1000) / this.clockRate;
    if (Math.max(Math.abs(unixMs - arrivalMs), fromPacketsMs) > MAX_REPORT_DISTANCE_MS) return;
    this.#rtp = known;
    this.#offsetMs = unixMs - (extended * 1000) / this.clockRate;
  }

  tick(nowMs: number): void {
    this.#reorder.tick(nowMs);
  }

  flush(): void {
    this.#reorder.flush();
  }

  /** Packets were left out on the way here. */
  noteGap(): void {
    this.#reorder.flush();
    this.#lost();
  }

  /** Nothing is taken until the next keyframe. */
  restart(): void {
    if (this.kind === 'video') this.#lost();
  }

  #packet(rtp: Buffer, arrivalMs: number): void {
    if (!parseRtpHeader(rtp, rtp.length, header)) return;
    const padding = paddingLength(rtp, rtp.length, header);
    if (padding < 0) return;
    const { timestamp, marker } = header;
    const payload = rtp.subarray(header.length, rtp.length - padding);
    const orientation = findExtension(rtp, header, ORIENTATION_ID);
    // Not all senders mark the last packet of a picture. Who does, and did not before a keyframe, was cut off in the middle:
    // the forwarder has gone over to another layer.
    if (this.#inFrame && timestamp !== this.#rtp % 2 ** 32) {
      if (this.#marks && isKeyframeStart(this.codec, payload)) this.#drop();
      else this.#end();
    }
    this.#rtp = Number.isNaN(this.#rtp)
      ? timestamp
      : this.#rtp + timestampDifference(timestamp, (this.#rtp % 2 ** 32) | 0);
    if (Number.isNaN(this.#offsetMs)) this.#offsetMs = arrivalMs - (this.#rtp * 1000) / this.clockRate;
    if (orientation >= 0) this.#rotation = ROTATIONS[(rtp[orientation] as number) & 0x03] ?? 0;
    if (this.#waiting && !this.#inFrame && !isKeyframeStart(this.codec, payload)) return;
    this.#inFrame = true;
    this.#pictureBytes += payload.length;
    if (this.#pictureBytes > MAX_PICTURE_BYTES || !this.#depacketiser.push(payload)) {
      this.#lost();
      return;
    }
    if (marker) this.#marks = this.kind === 'video';
    if (marker || this.kind === 'audio') this.#end();
  }

  #end(): void {
    const picture = this.#depacketiser.take();
    this.#inFrame = false;
    this.#pictureBytes = 0;
    if (picture === null) return;
    if (this.#waiting && !picture.key) return;
    this.#waiting = false;
    this.#events.onFrame({ ...picture, rtp: this.#rtp, rotation: this.#rotation });
  }

  /** Forgets the picture that was begun. */
  #drop(): void {
    this.#depacketiser.reset();
    this.#inFrame = false;
    this.#pictureBytes = 0;
    if (this.kind === 'video') this.framesLost++;
  }

  #lost(): void {
    this.#drop();
    if (this.kind === 'audio') return;
    this.#waiting = true;
    this.#events.onNeedKeyframe();
  }
}
