/** A picture that shows whether video is alive, and a tone that shows whether sound is: no device needed. */

export interface TestPattern {
  stream: MediaStream;
  stop(): void;
}

export interface PatternSize {
  width: number;
  height: number;
  framesPerSecond: number;
}

const BARS = ['#e9ecef', '#e8c547', '#3fb8c6', '#3fae6b', '#b05ccf', '#d9534f', '#3d62d8'];
const TONE_HZ = 440;
const PIP_HZ = 880;
const PIP_SECONDS = 0.09;
const QUIET = 0.02;
const LOUD = 0.12;
/** Pips are scheduled this far ahead on the audio clock. */
const SCHEDULE_AHEAD_SECONDS = 1.5;

/** Starts drawing and sounding. Frames and pips follow the wall clock: the flash and the pip mark the full second. */
export function startTestPattern({ width, height, framesPerSecond }: PatternSize): TestPattern {
  const canvas = document.createElement('canvas');
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext('2d', { alpha: false });
  if (context === null) throw new Error('This browser cannot draw the test pattern');
  const sound = startTone();
  const output = frameOutput(canvas, framesPerSecond);
  const metronome = new Worker('/web/metronome.js', { type: 'module' });
  let frame = 0;
  const tick = () => {
    draw(context, frame++, new Date());
    output.push();
    sound.schedule();
  };
  metronome.addEventListener('message', tick);
  metronome.postMessage(1000 / framesPerSecond);
  tick();
  return {
    stream: new MediaStream([output.track, ...sound.tracks]),
    stop() {
      metronome.terminate();
      output.track.stop();
      sound.stop();
    },
  };
}

/** Chromium's way to make a track of frames; not in the DOM types. */
interface TrackGenerator extends MediaStreamTrack {
  readonly writable: WritableStream<VideoFrame>;
}
type TrackGeneratorConstructor = new (init: { kind: 'video' }) => TrackGenerator;

interface FrameOutput {
  track: MediaStreamTrack;
  /** Sends what the canvas shows now. */
  push(): void;
}

function frameOutput(canvas: HTMLCanvasElement, framesPerSecond: number): FrameOutput {
  const { MediaStreamTrackGenerator } = globalThis as { MediaStreamTrackGenerator?: TrackGeneratorConstructor };
  if (MediaStreamTrackGenerator === undefined) {
    const [track] = canvas.captureStream(framesPerSecond).getVideoTracks();
    if (track === undefined) throw new Error('This browser cannot capture the test pattern');
    return { track, push: () => undefined };
  }
  // A captured canvas stands still while its page is in the background; frames made by hand do not.
  const track = new MediaStreamTrackGenerator({ kind: 'video' });
  const writer = track.writable.getWriter();
  return {
    track,
    push() {
      const frame = new VideoFrame(canvas, { timestamp: Math.round(performance.now() * 1000) });
      writer.write(frame).catch(() => frame.close());
    },
  };
}

function draw(context: CanvasRenderingContext2D, frame: number, now: Date): void {
  const { width, height } = context.canvas;
  const unit = height / 36;
  const barWidth = width / BARS.length;
  for (const [at, colour] of BARS.entries()) {
    context.fillStyle = colour;
    context.fillRect(Math.floor(at * barWidth), 0, Math.ceil(barWidth), height * 0.62);
  }
  context.fillStyle = '#12161c';
  context.fillRect(0, height * 0.62, width, height * 0.38);

  // A sweep over the bars: smooth when frames are, torn or jumping when they are not.
  const sweep = ((now.getTime() % 4000) / 4000) * (width + unit * 6) - unit * 6;
  context.fillStyle = 'rgb(255 255 255 / 0.55)';
  context.fillRect(sweep, 0, unit * 6, height * 0.62);

  const angle = ((now.getTime() % 1000) / 1000) * Math.PI * 2 - Math.PI / 2;
  const centreX = width - unit * 7;
  const centreY = height * 0.81;
  context.lineWidth = unit * 0.5;
  context.strokeStyle = '#3a4452';
  context.beginPath();
  context.arc(centreX, centreY, unit * 4, 0, Math.PI * 2);
  context.stroke();
  context.strokeStyle = '#46d19f';
  context.beginPath();
  context.arc(centreX, centreY, unit * 4, -Math.PI / 2, angle);
  context.stroke();
  if (now.getMilliseconds() < PIP_SECONDS * 1000) {
    context.fillStyle = '#ffffff';
    context.beginPath();
    context.arc(centreX, centreY, unit * 2.4, 0, Math.PI * 2);
    context.fill();
  }

  context.textBaseline = 'middle';
  context.fillStyle = '#ffffff';
  context.font = `600 ${unit * 5.2}px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace`;
  context.fillText(now.toISOString().slice(11, 23), unit * 3, height * 0.77);
  context.fillStyle = '#9aa7b6';
  context.font = `${unit * 2}px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace`;
  context.fillText(`UTC · ${width}×${height} · frame ${frame}`, unit * 3, height * 0.9);
}

interface Tone {
  tracks: MediaStreamTrack[];
  schedule(): void;
  stop(): void;
}

/** A quiet tone, and a pip at each full second: left ear on even seconds, right on odd ones. */
function startTone(): Tone {
  const audio = new AudioContext({ latencyHint: 'interactive' });
  const destination = audio.createMediaStreamDestination();
  oscillate(audio, TONE_HZ, constantGain(audio, QUIET, destination));
  const sides = [-1, 1].map((pan) => {
    const gain = constantGain(audio, 0, new StereoPannerNode(audio, { pan }), destination);
    oscillate(audio, PIP_HZ, gain);
    return gain;
  });
  let scheduledSecond = Math.floor(Date.now() / 1000);
  return {
    tracks: destination.stream.getAudioTracks(),
    schedule() {
      if (audio.state !== 'running') void audio.resume();
      const nextSecond = scheduledSecond + 1;
      const inSeconds = nextSecond - Date.now() / 1000;
      if (inSeconds > SCHEDULE_AHEAD_SECONDS) return;
      scheduledSecond = Math.max(nextSecond, Math.floor(Date.now() / 1000));
      if (inSeconds < 0) return;
      const gain = sides[nextSecond % 2]?.gain;
      gain?.setValueAtTime(LOUD, audio.currentTime + inSeconds);
      gain?.setValueAtTime(0, audio.currentTime + inSeconds + PIP_SECONDS);
    },
    stop() {
      for (const track of destination.stream.getTracks()) track.stop();
      void audio.close();
    },
  };
}

function constantGain(audio: AudioContext, value: number, ...chain: AudioNode[]): GainNode {
  const gain = new GainNode(audio, { gain: value });
  chain.reduce<AudioNode>((from, to) => from.connect(to), gain);
  return gain;
}

function oscillate(audio: AudioContext, frequency: number, output: AudioNode): void {
  const oscillator = new OscillatorNode(audio, { frequency });
  oscillator.connect(output);
  oscillator.start();
}
