/** What the tests use of @roamhq/wrtc (libwebrtc in Node: VP8, VP9, AV1, Opus; no H264). The DOM's types are not at hand. */
import { createRequire } from 'node:module';

export interface WrtcTrack {
  readonly kind: 'audio' | 'video';
  stop(): void;
}

export interface WrtcStat {
  type: string;
  kind?: 'audio' | 'video';
  [field: string]: unknown;
}

export interface WrtcChannel {
  readonly readyState: string;
  readonly label: string;
  readonly bufferedAmount: number;
  binaryType: string;
  onmessage: ((event: { data: string | ArrayBuffer }) => void) | null;
  send(data: string | Uint8Array): void;
  close(): void;
}

export interface WrtcConnection {
  readonly sctp: { transport: { state: string } | null } | null;
  readonly signalingState: string;
  readonly localDescription: { type: string; sdp: string } | null;
  readonly connectionState: string;
  readonly iceConnectionState: string;
  readonly iceGatheringState: string;
  addTransceiver(
    trackOrKind: WrtcTrack | 'audio' | 'video',
    init: { direction: 'sendonly' | 'recvonly' | 'sendrecv'; streams?: unknown[] },
  ): { mid: string | null };
  createDataChannel(label: string): WrtcChannel;
  createOffer(options?: { iceRestart: boolean }): Promise<{ type: string; sdp: string }>;
  createAnswer(): Promise<{ type: string; sdp: string }>;
  setLocalDescription(description: { type: string; sdp: string }): Promise<void>;
  setRemoteDescription(description: { type: string; sdp: string }): Promise<void>;
  getTransceivers(): { mid: string | null; receiver: { track: WrtcTrack } }[];
  getStats(): Promise<Map<string, WrtcStat>>;
  addEventListener(type: string, listener: () => void): void;
  removeEventListener(type: string, listener: () => void): void;
  close(): void;
}

interface VideoSource {
  createTrack(): WrtcTrack;
  onFrame(frame: { width: number; height: number; data: Uint8Array }): void;
}

interface AudioSource {
  createTrack(): WrtcTrack;
  onData(data: {
    samples: Int16Array;
    sampleRate: number;
    bitsPerSample: number;
    channelCount: number;
    numberOfFrames: number;
  }): void;
}

interface VideoSink {
  onframe: (() => void) | null;
  stop(): void;
}

/** By `require`: the package's native part does not survive being loaded twice. */
export const wrtc = createRequire(import.meta.url)('@roamhq/wrtc') as {
  RTCPeerConnection: new () => WrtcConnection;
  MediaStream: new () => unknown;
  nonstandard: {
    RTCVideoSource: new () => VideoSource;
    RTCAudioSource: new () => AudioSource;
    RTCVideoSink: new (track: unknown) => VideoSink;
  };
};

const USUAL_PICTURE: PictureSize = { width: 640, height: 360, frameMs: 33 };
const SAMPLE_RATE = 48_000;
const SAMPLES_MS = 10;
const TONE_HZ = 440;

export interface PictureSize {
  width: number;
  height: number;
  /** From one frame to the next. */
  frameMs: number;
}

/** A moving picture and a tone, until `stop`: the audio track first. */
export function testSources(size: PictureSize = USUAL_PICTURE): { tracks: WrtcTrack[]; stop: () => void } {
  const { width, height, frameMs } = size;
  const video = new wrtc.nonstandard.RTCVideoSource();
  const audio = new wrtc.nonstandard.RTCAudioSource();
  const picture = new Uint8Array((width * height * 3) / 2).fill(128);
  let frame = 0;
  const frames = setInterval(() => {
    frame += 1;
    for (let line = 0; line < height; line += 1) {
      picture.fill((line + frame * 4) & 0xff, line * width, line * width + width);
    }
    video.onFrame({ width, height, data: picture });
  }, frameMs);
  const samplesPerTurn = (SAMPLE_RATE * SAMPLES_MS) / 1000;
  let sample = 0;
  const tone = setInterval(() => {
    const samples = Int16Array.from({ length: samplesPerTurn }, (_, index) =>
      Math.round(8000 * Math.sin((2 * Math.PI * TONE_HZ * (sample + index)) / SAMPLE_RATE)),
    );
    sample += samplesPerTurn;
    audio.onData({
      samples,
      sampleRate: SAMPLE_RATE,
      bitsPerSample: 16,
      channelCount: 1,
      numberOfFrames: samplesPerTurn,
    });
  }, SAMPLES_MS);
  const tracks = [audio.createTrack(), video.createTrack()];
  return {
    tracks,
    stop: () => {
      clearInterval(frames);
      clearInterval(tone);
      for (const track of tracks) track.stop();
    },
  };
}
