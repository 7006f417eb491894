import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type WebSocket, WebSocketServer } from 'ws';
import { ProblemError } from '../../shared/errors.ts';
import { mintBootId, mintSessionId, nodeIdSchema, roomLobbyId, roomNameSchema } from '../../shared/ids.ts';
import {
  CONTROL_PROTOCOL_VERSION,
  type Hello,
  type NodeFrame,
  type NodeRequest,
  type Report,
  type Welcome,
} from '../../shared/protocol/control.ts';
import { ControlLink, type LinkOptions } from './link.ts';

const NODE = nodeIdSchema.parse('n1');
const LOAD = { sessions: 0, packetsPerSecond: 0, cpu: 0 };
const HELLO: Hello = {
  type: 'hello',
  protocol: 1,
  node: NODE,
  boot: mintBootId(),
  version: '0',
  region: 'here',
  addresses: [],
  engine: 'portable',
  capacity: { sessions: 1 },
  ingress: [],
  lobbies: [],
  load: LOAD,
};
const REPORT: Report = { type: 'report', ingress: [], lobbies: [], load: LOAD };
const WELCOME: Welcome = { type: 'welcome', protocol: 1, desired: [] };

let edge: WebSocketServer;
let link: ControlLink | null = null;
const log: string[] = [];
const welcomes: Welcome[] = [];

beforeEach(async () => {
  edge = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await once(edge, 'listening');
});

afterEach(() => {
  link?.close();
  link = null;
  for (const client of edge.clients) client.terminate();
  edge.close();
  log.length = 0;
  welcomes.length = 0;
});

function dial(handle: (request: NodeRequest) => unknown = () => ({}), options: Partial<LinkOptions> = {}): void {
  const { port } = edge.address() as AddressInfo;
  link = new ControlLink({
    edgeUrl: `http://127.0.0.1:${port}`,
    token: 'secret',
    node: NODE,
    log: (message) => log.push(message),
    handler: { hello: () => HELLO, welcome: (welcome) => welcomes.push(welcome), request: handle },
    ...options,
  });
}

interface Dialled {
  socket: WebSocket;
  headers: NodeJS.Dict<string | string[]>;
  /** The next frame that is not a ping. */
  next(): Promise<NodeFrame>;
  send(frame: unknown): void;
}

/** The edge's side of the node's next dial. */
async function dialled(): Promise<Dialled> {
  const [socket, request] = (await once(edge, 'connection')) as [WebSocket, { headers: NodeJS.Dict<string> }];
  const waiting: NodeFrame[] = [];
  let wake = (): void => {};
  socket.on('message', (data) => {
    const text = data.toString();
    if (text === 'ping') return;
    waiting.push(JSON.parse(text) as NodeFrame);
    wake();
  });
  return {
    socket,
    headers: request.headers,
    async next() {
      while (waiting.length === 0) await new Promise<void>((resolve) => (wake = resolve));
      return waiting.shift() as NodeFrame;
    },
    send: (frame) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
  };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test('says who it is and what it carries, and reports once it is welcome', async () => {
  dial();
  const edgeSide = await dialled();
  const hello = await edgeSide.next();
  const early = link?.report(REPORT);
  edgeSide.send(WELCOME);
  await until(() => link?.linked === true);
  const sent = link?.report(REPORT);

  expect(edgeSide.headers.authorization).toBe('Bearer secret');
  expect(edgeSide.headers['vestibule-node']).toBe('n1');
  expect(hello).toEqual(HELLO);
  expect(early).toBe(false);
  expect(sent).toBe(true);
  expect(await edgeSide.next()).toEqual(REPORT);
  expect(welcomes).toEqual([WELCOME]);
});

test.each<[string, () => unknown, object]>([
  ['a result', () => ({ kind: 'trickled' }), { ok: true, value: { kind: 'trickled' } }],
  [
    'a refusal',
    () => {
      throw new ProblemError(412, 'precondition_failed', 'no');
    },
    { ok: false, problem: { status: 412, code: 'precondition_failed', detail: 'no' } },
  ],
  [
    'a fault, without its words',
    () => {
      throw new TypeError('secret path');
    },
    { ok: false, problem: { status: 500, code: 'node_error', detail: 'the media node failed' } },
  ],
  ['what was promised', async () => ({ kind: 'trickled' }), { ok: true, value: { kind: 'trickled' } }],
  [
    'a promise that was not kept',
    async () => {
      throw new ProblemError(409, 'signal_closed', 'no', { retryAfterSeconds: 1 });
    },
    { ok: false, problem: { status: 409, code: 'signal_closed', detail: 'no', retryAfterSeconds: 1 } },
  ],
  [
    'its being late',
    () => new Promise(() => {}),
    { ok: false, problem: { status: 504, code: 'node_timeout', detail: 'the media node did not answer in time' } },
  ],
])('answers a request with %s', async (_, handle, outcome) => {
  dial(handle);
  const edgeSide = await dialled();
  await edgeSide.next();
  edgeSide.send(WELCOME);
  const request = { method: 'probe', session: mintSessionId() };

  edgeSide.send({ type: 'request', id: 7, deadlineMs: 100, request });

  expect(await edgeSide.next()).toEqual({ type: 'response', id: 7, outcome });
});

test('what does not fit the protocol is dropped, and the link lives on', async () => {
  dial();
  const edgeSide = await dialled();
  await edgeSide.next();

  for (const junk of ['', 'nonsense', '{}', '[]', '{"type":"request"}', { type: 'welcome' }]) edgeSide.send(junk);
  edgeSide.send(WELCOME);

  await until(() => link?.linked === true);
  expect(welcomes).toHaveLength(1);
});

test('dials again when the link is lost, with a new hello', async () => {
  dial();
  const first = await dialled();
  await first.next();
  first.send(WELCOME);
  await until(() => link?.linked === true);

  first.socket.terminate();
  const second = await dialled();

  expect(await second.next()).toEqual(HELLO);
  expect(link?.linked).toBe(false);
  expect(log.some((line) => line.includes('media goes on'))).toBe(true);
});

test('an edge that is silent is dialled again, whatever TCP says', async () => {
  dial(undefined, { pingIntervalMs: 10, silenceMs: 50 });
  const mute = await dialled();
  await mute.next();

  const again = await dialled();

  expect((await again.next()).type).toBe('hello');
});

test('a welcome that names ten thousand rooms is read', async () => {
  const desired = Array.from({ length: 10_000 }, (_, at) => ({
    lobby: roomLobbyId(roomNameSchema.parse(`a-room-with-a-name-of-usual-length-${at}`)),
    revision: at,
    publisher: { session: mintSessionId(), generation: at },
  }));
  dial();
  const edgeSide = await dialled();
  await edgeSide.next();

  edgeSide.send({ ...WELCOME, desired });
  await until(() => welcomes.length === 1 || edgeSide.socket.readyState !== edgeSide.socket.OPEN);

  expect(welcomes[0]?.desired).toHaveLength(desired.length);
});

test('an edge that speaks a far version is left', async () => {
  dial();
  const edgeSide = await dialled();
  await edgeSide.next();

  edgeSide.send({ ...WELCOME, protocol: CONTROL_PROTOCOL_VERSION + 2 });
  const [code] = (await once(edgeSide.socket, 'close')) as [number];

  expect(code).toBe(1008);
  expect(welcomes).toEqual([]);
});

test('a refused link says what to check, once', async () => {
  let knocks = 0;
  const door = createServer();
  door.on('upgrade', (_, socket) => {
    knocks += 1;
    // Who is refused hangs up without reading to the end.
    socket.on('error', () => undefined);
    socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  });
  door.listen(0, '127.0.0.1');
  await once(door, 'listening');

  dial(undefined, { edgeUrl: `http://127.0.0.1:${(door.address() as AddressInfo).port}` });
  await until(() => knocks >= 3);
  door.close();

  expect(log.filter((line) => line.includes('NODE_TOKEN'))).toHaveLength(1);
});
