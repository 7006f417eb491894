/** Client libraries of other people, unchanged, in a page of another origin than the server's. Bundled by `client-page.ts`. */
import { WebRTCPlayer } from '@eyevinn/webrtc-player';
import { WHIPClient as EyevinnWhipClient } from '@eyevinn/whip-web-client';
import { WHEPClient } from 'whip-whep/whep.js';
import { WHIPClient } from 'whip-whep/whip.js';

export interface Running {
  stop(): Promise<void>;
  restart?(): Promise<void>;
}

const library = {
  'whip-whep publisher': async (url: string, token?: string): Promise<Running> => {
    const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    const stream = await capture();
    for (const track of stream.getTracks())
      connection.addTransceiver(track, { direction: 'sendonly', streams: [stream] });
    const client = new WHIPClient();
    await client.publish(connection, url, token);
    return { stop: () => client.stop(), restart: async () => client.restart() };
  },
  'whip-whep player': async (url: string, token?: string): Promise<Running> => {
    const connection = new RTCPeerConnection({ bundlePolicy: 'max-bundle' });
    connection.addTransceiver('audio', { direction: 'recvonly' });
    connection.addTransceiver('video', { direction: 'recvonly' });
    connection.ontrack = ({ streams }) => show(streams[0] ?? null);
    const client = new WHEPClient();
    await client.view(connection, url, token);
    return { stop: () => client.stop(), restart: async () => client.restart() };
  },
  'eyevinn publisher': async (url: string, token?: string): Promise<Running> => {
    const client = new EyevinnWhipClient({
      endpoint: url,
      opts: token === undefined ? {} : { authkey: `Bearer ${token}` },
    });
    await client.setIceServersFromEndpoint();
    await client.ingest(await capture());
    return { stop: () => client.destroy() };
  },
  'eyevinn publisher without trickle': async (url: string): Promise<Running> => {
    const client = new EyevinnWhipClient({ endpoint: url, opts: { noTrickleIce: true } });
    await client.ingest(await capture());
    return { stop: () => client.destroy() };
  },
  'eyevinn player': async (url: string, token?: string): Promise<Running> => {
    const player = new WebRTCPlayer({ video: video(), type: 'whep', iceServers: [] });
    await player.load(new URL(url), token === undefined ? undefined : `Bearer ${token}`);
    return { stop: () => player.unload() };
  },
};

export type ClientName = keyof typeof library;

declare global {
  var clients: Record<ClientName, (url: string, token?: string) => Promise<Running>>;
  var running: Running | undefined;
}

globalThis.clients = library;

function capture(): Promise<MediaStream> {
  return navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360 } });
}

function video(): HTMLVideoElement {
  const element = document.querySelector('video');
  if (element === null) throw new Error('the page has no video');
  return element;
}

function show(stream: MediaStream | null): void {
  const element = video();
  if (element.srcObject !== stream) element.srcObject = stream;
}
