/** From RTP payloads to whole pictures and sounds: one depacketiser per codec, fed in sequence. */
import type { CodecName } from '../../negotiate/plan.ts';
import { Av1Depacketiser } from './av1-depacketiser.ts';
import { H264Depacketiser, H265Depacketiser } from './h26x-depacketiser.ts';
import { Vp8Depacketiser, Vp9Depacketiser } from './vpx-depacketiser.ts';

/** What a decoder takes at a time: an access unit, a temporal unit, a packet of sound. */
export interface Picture {
  /** NAL units (H264, H265), OBUs with their sizes (AV1), else the one whole. Views of what was pushed, where possible. */
  units: Buffer[];
  /** Can be decoded without any before it. */
  key: boolean;
}

export interface Depacketiser {
  /** Takes the payload of the next packet of a picture. False: it does not fit, and the picture is lost. */
  push(payload: Buffer): boolean;
  /** Ends the picture; null when there is nothing whole in it. */
  take(): Picture | null;
  /** Forgets a picture that was begun. */
  reset(): void;
}

export function createDepacketiser(codec: CodecName): Depacketiser {
  switch (codec) {
    case 'H264':
      return new H264Depacketiser();
    case 'H265':
      return new H265Depacketiser();
    case 'VP8':
      return new Vp8Depacketiser();
    case 'VP9':
      return new Vp9Depacketiser();
    case 'AV1':
      return new Av1Depacketiser();
    case 'opus':
    case 'PCMU':
    case 'PCMA':
      return new SoundDepacketiser();
  }
}

/** A packet is a frame (RFC 7587 §4.2, RFC 3551 §4.5.14). */
class SoundDepacketiser implements Depacketiser {
  #payload: Buffer | null = null;

  push(payload: Buffer): boolean {
    this.#payload = payload;
    return true;
  }

  take(): Picture | null {
    const payload = this.#payload;
    this.#payload = null;
    return payload === null || payload.length === 0 ? null : { units: [payload], key: true };
  }

  reset(): void {
    this.#payload = null;
  }
}
