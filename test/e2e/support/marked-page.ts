/** A page of Chromium that publishes moving pictures and a tone; both have a mark that begins with each second. */
import type { BrowserContext, Page } from 'playwright-core';

const CONNECT_MS = 30_000;

/** What was published. */
export interface PublishedMedia {
  seconds: number;
  pictures: number;
  /** Packets of sound. */
  sounds: number;
}

export interface MarkedPublisher {
  page: Page;
  /** DELETE. Resolves with what was sent while it was connected. */
  stop(): Promise<PublishedMedia>;
}

/** Publishes from a page of the edge itself. */
export async function publishMarked(
  context: BrowserContext,
  url: string,
  codec: 'VP8' | 'AV1',
): Promise<MarkedPublisher> {
  const page = await context.newPage();
  await page.goto(new URL('/healthz', url).href);
  await page.evaluate(publishInPage, { url, codec, deadlineMs: CONNECT_MS });
  return { page, stop: () => page.evaluate(stopInPage) };
}

interface InPage {
  connection: RTCPeerConnection;
  resource: string;
  connectedMs: number;
}

async function publishInPage({ url, codec, deadlineMs }: { url: string; codec: string; deadlineMs: number }) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [480, 270];
  const pen = canvas.getContext('2d') as CanvasRenderingContext2D;
  const clock = new AudioContext({ latencyHint: 'interactive', sampleRate: 48_000 });
  await clock.resume();
  const tone = new OscillatorNode(clock, { frequency: 1_000 });
  const gate = new GainNode(clock, { gain: 0 });
  const sink = new MediaStreamAudioDestinationNode(clock, { channelCount: 1 });
  tone.connect(gate).connect(sink);
  tone.start();
  for (let second = 0; second < 600; second++) {
    gate.gain.setValueAtTime(0.5, second);
    gate.gain.setValueAtTime(0, second + 0.1);
  }
  let count = 0;
  setInterval(() => {
    count++;
    pen.fillStyle = clock.currentTime % 1 < 0.1 ? '#fff' : `hsl(${count % 360} 60% 30%)`;
    pen.fillRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = '#888';
    pen.fillRect((count * 7) % canvas.width, 100, 40, 40);
  }, 33);

  const connection = new RTCPeerConnection();
  const [picture] = canvas.captureStream(30).getVideoTracks();
  const [sound] = sink.stream.getAudioTracks();
  if (picture === undefined || sound === undefined) throw new Error('no tracks');
  const video = connection.addTransceiver(picture, { direction: 'sendonly' });
  connection.addTransceiver(sound, { direction: 'sendonly' });
  const codecs = RTCRtpSender.getCapabilities('video')?.codecs ?? [];
  video.setCodecPreferences(codecs.filter(({ mimeType }) => mimeType === `video/${codec}`));
  await connection.setLocalDescription();
  const connected = new Promise<number>((resolve, reject) => {
    setTimeout(() => reject(new Error(`the connection is ${connection.connectionState}`)), deadlineMs);
    connection.addEventListener('connectionstatechange', () => {
      if (connection.connectionState === 'connected') resolve(performance.now());
    });
  });
  await new Promise<void>((resolve) => {
    connection.addEventListener('icecandidate', ({ candidate }) => candidate === null && resolve());
  });
  const headers = { 'content-type': 'application/sdp' };
  const answer = await fetch(url, { method: 'POST', headers, body: connection.localDescription?.sdp ?? '' });
  if (answer.status !== 201) throw new Error(`${answer.status} ${await answer.text()}`);
  await connection.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
  const resource = new URL(answer.headers.get('location') ?? '', url).href;
  const connectedMs = await connected;
  Object.assign(globalThis, { publishing: { connection, resource, connectedMs } satisfies InPage });
}

async function stopInPage(): Promise<PublishedMedia> {
  const { connection, resource, connectedMs } = (globalThis as unknown as { publishing: InPage }).publishing;
  const sent = { pictures: 0, sounds: 0 };
  for (const each of (await connection.getStats()).values()) {
    if (each.type !== 'outbound-rtp') continue;
    if (each.kind === 'video') sent.pictures = each.framesSent;
    else sent.sounds = each.packetsSent;
  }
  // Media goes on until a DELETE is carried out, which takes its time on a busy machine.
  const seconds = (performance.now() - connectedMs) / 1000;
  connection.close();
  await fetch(resource, { method: 'DELETE' });
  return { seconds, ...sent };
}
