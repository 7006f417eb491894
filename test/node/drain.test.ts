/** A node that is about to leave: who understands it is asked to move, nothing new is taken, the rest ends with the time. */
import { expect, onTestFinished, test } from 'vitest';
import type { ProblemError } from '../../shared/errors.ts';
import { NodeMember } from '../support/lobby/node-member.ts';
import type { NodeUnderTest } from '../support/node-under-test.ts';
import { until } from '../support/until.ts';
import { testSources, type WrtcConnection, wrtc } from '../support/wrtc.ts';
import { withVideoCodec } from '../support/wrtc-peer.ts';
import { openFleet, ROOM } from './fleet-bed.ts';

/** A libwebrtc client with the data channel that our own clients open; what it is told. */
async function connect(node: NodeUnderTest, purpose: 'publish' | 'play', label = 'vestibule-events') {
  const connection: WrtcConnection = new wrtc.RTCPeerConnection();
  onTestFinished(() => connection.close());
  const told: unknown[] = [];
  const channel = connection.createDataChannel(label);
  channel.onmessage = ({ data }) => void told.push(typeof data === 'string' ? JSON.parse(data) : 'binary');
  if (purpose === 'publish') {
    const sources = testSources();
    onTestFinished(() => sources.stop());
    for (const track of sources.tracks) connection.addTransceiver(track, { direction: 'sendonly', streams: [] });
  } else {
    for (const kind of ['audio', 'video'] as const) connection.addTransceiver(kind, { direction: 'recvonly' });
  }
  const { sdp } = await connection.createOffer();
  await connection.setLocalDescription({ type: 'offer', sdp: withVideoCodec(sdp, 'VP8') });
  await until(() => connection.iceGatheringState === 'complete', 'gathering');
  const signalling = purpose === 'publish' ? node.publishing(ROOM) : node.playing(ROOM);
  const answer = await signalling.open(connection.localDescription?.sdp ?? '');
  await connection.setRemoteDescription({ type: 'answer', sdp: answer.sdp });
  await until(() => connection.connectionState === 'connected', 'a connection');
  return { connection, channel, told, signalling };
}

test('publishers, viewers and members are asked to move; new sessions are refused; existing ones are served', async () => {
  const { nodes, play } = await openFleet(2);
  const [a, b] = nodes as [NodeUnderTest, NodeUnderTest];
  const publisher = await connect(a, 'publish');
  const viewers = await Promise.all([connect(a, 'play'), connect(a, 'play', 'something else')]);
  const plain = await play(a, { video: { VP8: 96 } });
  const member = new NodeMember(a, 1);
  await member.enter('guest');
  await member.listen();
  const open = [publisher, ...viewers].map(({ channel }) => channel);
  await until(() => open.every(({ readyState }) => readyState === 'open'), 'the channels');

  a.request<'drain'>({ method: 'drain', timeoutMs: 60_000 });

  await until(() => publisher.told.length > 0 && (viewers[0]?.told.length ?? 0) > 0, 'words');
  await until(() => member.moves > 0, 'words to the member');
  expect([publisher.told, viewers[0]?.told, viewers[1]?.told, member.moves]).toEqual([
    [{ type: 'reconnect', data: {} }],
    [{ type: 'reconnect', data: {} }],
    [],
    1,
  ]);
  await until(() => a.reports.at(-1)?.draining === true, 'the report');
  expect(a.node.hello().draining).toBe(true);

  const refusal = await play(a).catch((error: unknown) => error as ProblemError);
  expect(refusal).toMatchObject({ status: 503, code: 'node_draining', retryAfterSeconds: 1 });
  // Whoever moves away is served from here by a relay, until the publisher has moved, too.
  b.relayFrom(a, ROOM);
  const moved = await play(b, { video: { VP8: 96 } });
  const before = plain.video.packets;
  await until(() => plain.video.packets > before + 10 && moved.video.packets > 10, 'media');
  await viewers[0]?.signalling.close();
  expect(a.drained).toBe(false);

  a.request<'drain'>({ method: 'drain', timeoutMs: 0 });
  await until(() => a.drained, 'the end');
});

test('a node that is empty has drained', async () => {
  const { nodes, publish } = await openFleet(1);
  const [a] = nodes as [NodeUnderTest];
  const publisher = await publish(a);
  a.request<'drain'>({ method: 'drain', timeoutMs: 60_000 });
  expect(a.drained).toBe(false);

  await publisher.close();

  await until(() => a.drained, 'the end');
});
