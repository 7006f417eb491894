/** What the benchmarks run inside of pages; reached as `globalThis.bench`. */
import { clockAgeMs, drawClock, HEIGHT, nowMs, WIDTH } from './clock-picture.ts';

const CLOCK_FRAME_MS = 1_000 / 30;
/** Half of a display's frame: a timer is not exact. */
const FRAME_TOLERANCE_MS = 8;

function clockStream(): MediaStream {
  const canvas = document.createElement('canvas');
  canvas.width = WIDTH;
  canvas.height = HEIGHT;
  document.body.append(canvas);
  const context = canvas.getContext('2d');
  if (context === null) throw new Error('no canvas');
  let nextMs = 0;
  const draw = (): void => {
    requestAnimationFrame(draw);
    if (performance.now() + FRAME_TOLERANCE_MS < nextMs) return;
    nextMs = Math.max(nextMs + CLOCK_FRAME_MS, performance.now());
    drawClock(context);
  };
  draw();
  return canvas.captureStream();
}

/** Codecs are named in the order of preference; the first that this Chromium encodes is used. */
function preferCodec(transceiver: RTCRtpTransceiver, name: string): void {
  const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
  const isWanted = ({ mimeType }: { mimeType: string }): boolean =>
    mimeType.toLowerCase() === `video/${name.toLowerCase()}`;
  transceiver.setCodecPreferences([...codecs.filter(isWanted), ...codecs.filter((codec) => !isWanted(codec))]);
}

async function post(url: string, sdp: string): Promise<{ answer: string; resource: string }> {
  const response = await fetch(url, { method: 'POST', headers: { 'Content-Type': 'application/sdp' }, body: sdp });
  const body = await response.text();
  if (response.status !== 201) throw new Error(`${response.status}: ${body}`);
  return { answer: body, resource: new URL(response.headers.get('Location') ?? '', url).href };
}

async function offerOf(peer: RTCPeerConnection): Promise<string> {
  await peer.setLocalDescription();
  return peer.localDescription?.sdp ?? '';
}

function clockPublisher(codec: string): RTCPeerConnection {
  const peer = new RTCPeerConnection();
  const stream = clockStream();
  for (const track of stream.getVideoTracks()) {
    preferCodec(peer.addTransceiver(track, { direction: 'sendonly', streams: [stream] }), codec);
  }
  return peer;
}

function videoOf(peer: RTCPeerConnection): HTMLVideoElement {
  const video = document.createElement('video');
  video.muted = true;
  video.autoplay = true;
  video.playsInline = true;
  const stream = new MediaStream();
  video.srcObject = stream;
  peer.addEventListener('track', ({ track }) => stream.addTrack(track));
  document.body.append(video);
  return video;
}

async function gathered(peer: RTCPeerConnection): Promise<string> {
  await peer.setLocalDescription();
  while (peer.iceGatheringState !== 'complete') {
    await new Promise((resolve) => peer.addEventListener('icegatheringstatechange', resolve, { once: true }));
  }
  return peer.localDescription?.sdp ?? '';
}

let publisher: RTCPeerConnection | null = null;
let viewer: { peer: RTCPeerConnection; video: HTMLVideoElement; resource: string } | null = null;

const actions = {
  async publish(url: string, codec: string): Promise<void> {
    publisher = clockPublisher(codec);
    const { answer } = await post(url, await offerOf(publisher));
    await publisher.setRemoteDescription({ type: 'answer', sdp: answer });
  },

  /** The offer to a viewer without a server in between. */
  async offerDirectly(codec: string): Promise<string> {
    publisher = clockPublisher(codec);
    return gathered(publisher);
  },

  async acceptDirectly(sdp: string): Promise<void> {
    await publisher?.setRemoteDescription({ type: 'answer', sdp });
  },

  async answerDirectly(sdp: string): Promise<string> {
    const peer = new RTCPeerConnection();
    viewer = { peer, video: videoOf(peer), resource: '' };
    await peer.setRemoteDescription({ type: 'offer', sdp });
    return gathered(peer);
  },

  /** Plays, and tells when the answer was there and when the first frame was presented, from the POST on. */
  async play(url: string): Promise<{ answerMs: number; frameMs: number }> {
    const peer = new RTCPeerConnection();
    peer.addTransceiver('audio', { direction: 'recvonly' });
    peer.addTransceiver('video', { direction: 'recvonly' });
    const video = videoOf(peer);
    const presented = new Promise<void>((resolve) => video.requestVideoFrameCallback(() => resolve()));
    const offer = await offerOf(peer);
    const startMs = performance.now();
    const { answer, resource } = await post(url, offer);
    const answerMs = performance.now() - startMs;
    await peer.setRemoteDescription({ type: 'answer', sdp: answer });
    await presented;
    const frameMs = performance.now() - startMs;
    viewer = { peer, video, resource };
    return { answerMs, frameMs };
  },

  async stopPlaying(): Promise<void> {
    if (viewer === null) return;
    const { peer, video, resource } = viewer;
    viewer = null;
    if (resource !== '') await fetch(resource, { method: 'DELETE' });
    peer.close();
    video.remove();
  },

  /** Ages of the clock in the frames that are presented during that time; pictures that are no clock are counted. */
  async clockAges(durationMs: number): Promise<{ agesMs: number[]; unreadable: number; codec: string }> {
    if (viewer === null) throw new Error('nothing plays');
    const { video, peer } = viewer;
    const canvas = document.createElement('canvas');
    canvas.width = WIDTH;
    canvas.height = HEIGHT;
    const context = canvas.getContext('2d', { willReadFrequently: true });
    if (context === null) throw new Error('no canvas');
    const agesMs: number[] = [];
    let unreadable = 0;
    const endMs = performance.now() + durationMs;
    while (performance.now() < endMs) {
      await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
      const atMs = nowMs();
      context.drawImage(video, 0, 0, WIDTH, HEIGHT);
      const age = clockAgeMs(context, atMs);
      if (age === null) unreadable += 1;
      else agesMs.push(age);
    }
    const report = await peer.getStats();
    const inbound = [...report.values()].find((stat) => stat.type === 'inbound-rtp' && stat.kind === 'video');
    return { agesMs, unreadable, codec: report.get(inbound?.codecId ?? '')?.mimeType ?? 'unknown' };
  },
};

export type BenchPage = typeof actions;
declare global {
  var bench: BenchPage;
}
globalThis.bench = actions;
