/** Who must not disturb the fleet, does not: false nodes, false tokens, floods, lies, and strangers at a node's port. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RawData, WebSocket } from 'ws';
import { mintBootId } from '../../shared/ids.ts';
import { CONTROL_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import { parseSdp } from '../../shared/sdp/parse.ts';
import { freshRoom, until } from '../e2e/support/until.ts';
import { writeCheck } from '../support/client/stun-check.ts';
import type { Viewer } from '../support/client/viewer.ts';
import { FleetBed, NODE_TOKEN } from './fleet-bed.ts';
import { flowsOn, GapWatch } from './measure.ts';
import { NEW_YORK, PARIS, SYDNEY } from './places.ts';

const LONGEST_GAP_MS = 3_000;
const FLOOD = 60;
const STRANGE_DATAGRAMS = 100;
const DEADLINE_MS = 20_000;
/** workerd does not always see to the end of what it has refused. */
const CLOSE_TIMEOUT_MS = 500;
/** RFC 7983: SRTP and SRTCP. */
const isMedia = (datagram: Buffer): boolean => (datagram[0] ?? 0) >= 128 && (datagram[0] ?? 0) <= 191;

let bed: FleetBed;
let room: string;
let gaps: GapWatch;
const viewers: Viewer[] = [];

beforeAll(async () => {
  bed = await FleetBed.open({ nodes: { 'new-york': NEW_YORK, paris: PARIS } });
  room = freshRoom();
  await bed.publish(NEW_YORK, room);
  for (const place of [NEW_YORK, PARIS]) viewers.push(await bed.play(place, room));
  await Promise.all(viewers.map((viewer) => flowsOn(viewer)));
  gaps = new GapWatch(viewers);
});
afterAll(async () => {
  gaps?.[Symbol.dispose]();
  await bed?.close();
});

/** Everybody watches as before, both nodes are linked and nothing was relayed anew. */
async function undisturbed(): Promise<void> {
  await Promise.all(viewers.map((viewer) => flowsOn(viewer)));
  expect(Math.max(...gaps.longestMs())).toBeLessThan(LONGEST_GAP_MS);
  expect(viewers.map(({ session }) => session.transport.endReason)).toEqual([null, null]);
  expect(['new-york', 'paris'].map((id) => bed.tap.requests(id, 'relay-pull').length)).toEqual([0, 1]);
  const linked = (await bed.adminNodes()).filter((node) => node.linked).map(({ node }) => node);
  expect(linked).toEqual(expect.arrayContaining(['new-york', 'paris']));
}

function hello(node: string, more: Record<string, unknown> = {}): Record<string, unknown> {
  return {
    type: 'hello',
    protocol: CONTROL_PROTOCOL_VERSION,
    node,
    boot: mintBootId(),
    version: '0.0.0',
    region: 'nowhere',
    addresses: [],
    engine: 'portable',
    capacity: { sessions: 1 },
    ingress: [],
    lobbies: [],
    load: { sessions: 0, packetsPerSecond: 0, cpu: 0 },
    ...more,
  };
}

/** Dials the edge with the real token and says something; resolves with the edge's first word, or its reason to hang up. */
async function dial(node: string, first: unknown): Promise<{ socket: WebSocket; answer: string }> {
  const headers = { authorization: `Bearer ${NODE_TOKEN}`, 'vestibule-node': node };
  const options = { headers, perMessageDeflate: false, closeTimeout: CLOSE_TIMEOUT_MS };
  const socket = new WebSocket(`${bed.url.replace('http', 'ws')}/node/link`, options);
  const answer = new Promise<string>((resolve) => {
    socket.on('message', (data: RawData) => resolve(String(data)));
    socket.on('close', (code, reason) => resolve(`${code} ${reason}`));
    socket.on('error', (error) => resolve(error.message));
  });
  socket.on('open', () => socket.send(JSON.stringify(first)));
  return { socket, answer: await answer };
}

test('without the token, or with a wrong one: refused, and both sides say so', async () => {
  await expect(bed.startNode('tokenless', SYDNEY, { env: { NODE_TOKEN: '' } })).rejects.toThrow(
    'NODE_TOKEN is required',
  );
  const stranger = await bed.startNode('stranger', SYDNEY, { env: { NODE_TOKEN: 'a-guess' } });

  await until('it has been refused', () => stranger.log.includes('the edge refused the link: HTTP 401'), DEADLINE_MS);
  await until('the edge has said so', () => bed.edge.log.includes('refused: a wrong node token'), DEADLINE_MS);

  expect((await bed.adminNodes()).map(({ node }) => node)).toEqual(['new-york', 'paris']);
  await stranger.close();
  await undisturbed();
});

test('another process with a node’s name: refused while the node is alive', async () => {
  const impostor = await bed.startNode('impostor', SYDNEY, { env: { NODE_ID: 'paris' } });

  await until('it has been refused', () => impostor.log.includes('another node with this id is linked'), DEADLINE_MS);
  await until('the edge has said so', () => bed.edge.log.includes('a link for node paris was refused'), DEADLINE_MS);
  expect((await dial('mallory', hello('paris'))).answer).toBe('1008 hello names another node than the request did');

  await impostor.close();
  await undisturbed();
});

test('a flood of hellos is refused, and the node that is meant stays', async () => {
  const answers = await Promise.all(
    Array.from({ length: FLOOD }, async () => (await dial('paris', hello('paris'))).answer),
  );

  // Taken, too many, or pushed aside by the next.
  expect(answers.filter((answer) => !/^(4002|4003) /.test(answer))).toEqual([]);
  await undisturbed();
});

test('a node that lies of its load, its viewers and other nodes’ sessions is cut down and heard no further', async () => {
  const [publish] = bed.tap.requests('new-york', 'publish');
  if (publish === undefined) throw new Error('nobody publishes');
  const lobby = publish.lobby;
  const lies = {
    capacity: { sessions: 1e12 },
    lobbies: [{ lobby, subscribers: 1e12 }],
    ingress: [
      {
        lobby,
        session: publish.session,
        generation: publish.generation,
        state: 'closed',
        reason: 'peer-closed',
        tracks: [],
      },
    ],
    relays: [{ lobby, session: publish.session, generation: publish.generation, state: 'connected', idle: true }],
  };
  const { socket, answer } = await dial('liar', hello('liar', lies));
  expect(JSON.parse(answer)).toMatchObject({ type: 'welcome' });
  socket.send(JSON.stringify({ type: 'report', ...lies, load: { sessions: 0, packetsPerSecond: 1e300, cpu: 0 } }));

  const seen = await bed.untilNode('liar', 'is known', ({ load }) => load.packetsPerSecond > 0, DEADLINE_MS);
  expect(seen.capacity.sessions).toBeLessThanOrEqual(100_000);
  expect(seen.load.packetsPerSecond).toBeLessThanOrEqual(1e8);
  // So full a node gets nobody.
  expect(bed.nodeOf(await bed.play(PARIS, room))).toBe('paris');
  await until('the edge has said so', () => bed.edge.log.includes('node liar says what cannot be'), DEADLINE_MS);
  socket.close();
  await undisturbed();
});

test('who was not sent by the edge gets nothing from a node’s port: neither as a relay nor as anything else', async () => {
  const before = await bed.node('new-york').metrics();
  const [pull] = bed.tap.requests('paris', 'relay-pull');
  const ice = parseSdp(pull?.offer ?? '').media[0]?.ice;
  if (!ice) throw new Error('there is no relay');
  const [address = '', port = ''] = bed.node('new-york').address.split(':');
  const socket = createSocket('udp4');
  const answers: Buffer[] = [];
  socket.on('message', (datagram) => answers.push(datagram));
  socket.bind(0, '127.0.0.1');
  await once(socket, 'listening');
  const clientHello = Buffer.concat([Buffer.from([22, 0xfe, 0xfd]), Buffer.alloc(200, 1)]);
  for (let index = 0; index < STRANGE_DATAGRAMS; index += 1) {
    // Made up, and the real name of a relay with a password that is not its own.
    for (const ufrag of [`x${index}`, ice.ufrag]) {
      const check = { username: `${ufrag}:mine`, password: 'no-password-of-anybody', useCandidate: true, bare: false };
      socket.send(writeCheck(check).datagram, Number(port), address);
    }
    socket.send(clientHello, Number(port), address);
    socket.send(Buffer.alloc(100, 0x80), Number(port), address);
  }
  await until(
    'the node has counted them',
    async () => {
      const { unknown_datagrams_total = 0 } = await bed.node('new-york').metrics();
      return unknown_datagrams_total - (before.unknown_datagrams_total ?? 0) >= STRANGE_DATAGRAMS;
    },
    DEADLINE_MS,
  );
  await undisturbed();

  expect(answers.filter(isMedia)).toEqual([]);
  const after = await bed.node('new-york').metrics();
  expect(after.sessions).toBe(before.sessions);
  socket.close();
});
