/** What the members of the tests send. Small, so that a few cores carry many of them. */
import { testSources, type WrtcTrack, wrtc } from '../wrtc.ts';

const SMALL_PICTURE = { width: 320, height: 180, frameMs: 66 };
const SAMPLE_RATE = 48_000;
/** Opus packets hold that much. */
const PACKET_MS = 20;
const QUIET_PACKET_EVERY_MS = 500;

/** `both`: a picture and a tone; `quiet`: one sound packet now and then; `nothing`: a data channel only. */
export type Sends = 'both' | 'audio' | 'quiet' | 'nothing';

export interface MemberMedia {
  tracks: WrtcTrack[];
  stop(): void;
}

export function memberMedia(sends: Sends): MemberMedia {
  switch (sends) {
    case 'nothing':
      return { tracks: [], stop: () => undefined };
    case 'quiet':
      return quietSound();
    case 'audio': {
      const { tracks, stop } = testSources(SMALL_PICTURE);
      return { tracks: tracks.filter(({ kind }) => kind === 'audio'), stop };
    }
    case 'both':
      return testSources(SMALL_PICTURE);
  }
}

function quietSound(): MemberMedia {
  const source = new wrtc.nonstandard.RTCAudioSource();
  const track = source.createTrack();
  const numberOfFrames = SAMPLE_RATE / 100;
  const samples = new Int16Array(numberOfFrames).fill(1000);
  const packet = { samples, sampleRate: SAMPLE_RATE, bitsPerSample: 16, channelCount: 1, numberOfFrames };
  const timer = setInterval(() => {
    for (let ms = 0; ms < PACKET_MS; ms += 10) source.onData(packet);
  }, QUIET_PACKET_EVERY_MS);
  return {
    tracks: [track],
    stop: () => {
      clearInterval(timer);
      track.stop();
    },
  };
}
