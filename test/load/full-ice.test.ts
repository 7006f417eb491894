/** The tool against a server that is none of ours: a full ICE agent (libwebrtc), 200 instead of 201, several candidates. */
import { createServer, type Server } from 'node:http';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { until } from '../e2e/support/until.ts';
import { type WrtcConnection, wrtc } from '../support/wrtc.ts';
import { type PublishRequest, readArguments } from './arguments.ts';
import { listenOnFreePort } from './load-test-support.ts';
import { runPublish } from './publish.ts';

let server: Server;
let origin: string;
let connection: WrtcConnection;
const deleted: string[] = [];

beforeAll(async () => {
  connection = new wrtc.RTCPeerConnection();
  server = createServer(async (request, response) => {
    if (request.method === 'DELETE') {
      deleted.push(request.url ?? '');
      response.writeHead(204).end();
      return;
    }
    await connection.setRemoteDescription({ type: 'offer', sdp: await text(request) });
    await connection.setLocalDescription(await connection.createAnswer());
    await until('candidates', () => connection.iceGatheringState === 'complete');
    response.writeHead(200, { 'content-type': 'application/sdp', location: 'sessions/1' });
    response.end(connection.localDescription?.sdp);
  });
  origin = await listenOnFreePort(server);
});

afterAll(() => {
  connection.close();
  server.closeAllConnections();
  server.close();
});

async function videoPacketsReceived(): Promise<number> {
  const stats = [...(await connection.getStats()).values()];
  return Number(stats.find(({ type, kind }) => type === 'inbound-rtp' && kind === 'video')?.packetsReceived ?? 0);
}

function publishRequest(): PublishRequest {
  const request = readArguments(['publish', `${origin}/whip`, '--codec', 'vp8', '--bitrate', '300k', '--pps', '110']);
  if (request.command !== 'publish') throw new Error('no publisher');
  return request;
}

test('it connects, media arrives, a keyframe is sent when asked, and the session is deleted', async () => {
  const stop = new AbortController();
  const published = runPublish(publishRequest(), stop.signal);
  await until('packets', async () => (await videoPacketsReceived()) > 50);
  stop.abort();

  // What looks like VP8 and is none cannot be decoded: libwebrtc asks for keyframes.
  const summary = await published;
  expect(summary).toMatchObject({ connected: 1, ended: false, failures: {} });
  expect(summary.keyframeRequests).toBeGreaterThan(0);
  expect(summary.keyframes).toBeGreaterThan(1);
  expect(deleted).toEqual(['/sessions/1']);
});
