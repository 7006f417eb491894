/**
 * One real edge in workerd and several real media nodes, each a process of its own with a place on earth and an address of
 * its own on loopback. All nodes dial the edge through a tap, so a test can see what was asked of whom.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BrowserContext, Page } from 'playwright-core';
import { z } from 'zod';
import { until } from '../e2e/support/until.ts';
import type { Chromium } from '../support/chromium.ts';
import { type Publisher, type PublishOptions, publish } from '../support/client/publisher.ts';
import { httpSignalling } from '../support/client/signalling.ts';
import { type PlayOptions, play, type Viewer } from '../support/client/viewer.ts';
import { freeTcpPort } from '../support/free-port.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { FleetNode } from './fleet-node.ts';
import { LinkTap } from './link-tap.ts';
import { fromPlace, PLACE_HEADER, type Place } from './places.ts';

export const NODE_TOKEN = 'the-node-token-of-these-tests';
export const ADMIN_TOKEN = 'the-admin-token-of-these-tests';
/** Nodes have addresses from here on: 127.0.0.1 is that of clients. */
const FIRST_NODE_BYTE = 11;

const nodeStatusSchema = z.object({
  node: z.string(),
  linked: z.boolean(),
  draining: z.boolean(),
  protocol: z.int(),
  version: z.string(),
  capacity: z.object({ sessions: z.int() }),
  load: z.object({ sessions: z.int(), packetsPerSecond: z.number(), cpu: z.number() }),
  totals: z.object({ subscribers: z.int() }),
  lobbies: z.array(
    z.object({
      lobby: z.string(),
      subscribers: z.int(),
      relays: z.object({ from: z.array(z.string()), to: z.array(z.string()) }),
    }),
  ),
});
export type AdminNode = z.infer<typeof nodeStatusSchema>;

export interface FleetOptions {
  /** Id of each node and where it is. They are started in this order. */
  nodes: Readonly<Record<string, Place>>;
  /** Settings of the edge. */
  edge?: Readonly<Record<string, string | undefined>>;
  /** Settings of all nodes. */
  node?: Readonly<Record<string, string | undefined>>;
}

export type PublisherWishes = Omit<PublishOptions, 'url' | 'token' | 'signalling'>;
export type ViewerWishes = Omit<PlayOptions, 'url' | 'token' | 'signalling'>;

export class FleetBed implements AsyncDisposable {
  readonly tap: LinkTap;
  readonly #nodes = new Map<string, FleetNode>();
  #edge: Vestibule;
  /** What edge and nodes keep. */
  readonly #directory: string;
  readonly #settings: Pick<FleetOptions, 'edge' | 'node'>;
  readonly #clients: { close(): Promise<void> }[] = [];

  private constructor(edge: Vestibule, tap: LinkTap, directory: string, settings: FleetOptions) {
    this.#edge = edge;
    this.tap = tap;
    this.#directory = directory;
    this.#settings = settings;
  }

  /** All nodes are linked when it resolves. Close it, or use `await using`. */
  static async open(options: FleetOptions): Promise<FleetBed> {
    // Fixed, so that it is the same after a restart.
    const settings = { ...options, edge: { ...options.edge, PORT: String(await freeTcpPort()) } };
    const directory = await mkdtemp(join(tmpdir(), 'vestibule-fleet-'));
    const edge = await startEdge(settings, directory);
    const bed = new FleetBed(edge, await LinkTap.open(edge.url), directory, settings);
    try {
      for (const [id, place] of Object.entries(options.nodes)) await bed.startNode(id, place);
      await Promise.all([...bed.#nodes.keys()].map((id) => bed.nodeLinked(id)));
    } catch (error) {
      await bed.close();
      throw error;
    }
    return bed;
  }

  get edge(): Vestibule {
    return this.#edge;
  }

  /** Ends the edge and starts that of another checkout in its place, on the same port and state. */
  async replaceEdge(checkout: string): Promise<void> {
    await this.#edge.stop();
    this.#edge = await startEdge(this.#settings, this.#directory, checkout);
  }

  get url(): string {
    return this.#edge.url;
  }

  /** A further node, or the next life of one that has ended. */
  async startNode(
    id: string,
    place: Place,
    more: { env?: Readonly<Record<string, string | undefined>>; script?: string } = {},
  ): Promise<FleetNode> {
    const known = [...this.#nodes.keys()].indexOf(id);
    const index = known < 0 ? this.#nodes.size : known;
    const node = new FleetNode({
      id,
      place,
      address: `127.0.0.${FIRST_NODE_BYTE + index}`,
      edgeUrl: this.tap.url,
      token: NODE_TOKEN,
      recordDirectory: join(this.#directory, 'recordings'),
      ...more,
      env: { ...this.#settings.node, ...more.env },
    });
    this.#nodes.set(id, node);
    await node.start();
    return node;
  }

  node(id: string): FleetNode {
    const node = this.#nodes.get(id);
    if (node === undefined) throw new Error(`there is no node ${id}`);
    return node;
  }

  /** The id of the node with this media address; '' when there is none. */
  nodeAt(address: string): string {
    return [...this.#nodes.values()].find((node) => node.address.split(':')[0] === address)?.id ?? '';
  }

  /** The node that serves this client. */
  nodeOf(client: Viewer | Publisher): string {
    return this.nodeAt(client.session.answer.candidate.address);
  }

  /** The node that serves this page; '' while there is none. */
  async nodeOfPage(page: Page): Promise<string> {
    const address = await page.evaluate(() => {
      const sdp = globalThis.vestibule.client.connection?.remoteDescription?.sdp ?? '';
      return /^a=candidate:\S+ \d+ \S+ \d+ (\S+) /m.exec(sdp)?.[1] ?? '';
    });
    return this.nodeAt(address);
  }

  /** Resolves when the edge counts it among those that it places sessions on. */
  async nodeLinked(id: string): Promise<void> {
    await this.node(id).linked();
    await this.untilNode(id, 'is linked', ({ linked }) => linked);
  }

  /** As `GET /api/admin/nodes` says. */
  async adminNodes(): Promise<AdminNode[]> {
    const response = await fetch(`${this.url}/api/admin/nodes`, {
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
    });
    return z.array(nodeStatusSchema).parse(await response.json());
  }

  /** Waits until the edge says this of a node. */
  untilNode(
    id: string,
    what: string,
    condition: (node: AdminNode) => boolean,
    deadlineMs?: number,
  ): Promise<AdminNode> {
    return until(
      `node ${id} ${what}`,
      async () => {
        const found = (await this.adminNodes().catch(() => [])).find(({ node }) => node === id);
        return found !== undefined && condition(found) ? found : null;
      },
      deadlineMs,
    );
  }

  /** `POST /api/admin/nodes/{id}/drain`. */
  drain(id: string, timeoutMs?: number): Promise<Response> {
    return fetch(`${this.url}/api/admin/nodes/${id}/drain`, {
      method: 'POST',
      headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
      body: timeoutMs === undefined ? '{}' : JSON.stringify({ timeoutMs }),
    });
  }

  /** A headless publisher at a place; closed with the bed. */
  async publish(place: Place, room: string, wishes: PublisherWishes = {}): Promise<Publisher> {
    const signalling = httpSignalling(`${this.url}/api/whip/publish/${room}`, undefined, fromPlace(place));
    const publisher = await publish({ ...wishes, signalling });
    this.#clients.push(publisher);
    return publisher;
  }

  /** A headless viewer at a place; closed with the bed. */
  async play(place: Place, room: string, wishes: ViewerWishes = {}): Promise<Viewer> {
    const signalling = httpSignalling(`${this.url}/api/whep/play/${room}`, undefined, fromPlace(place));
    const viewer = await play({ ...wishes, signalling });
    this.#clients.push(viewer);
    return viewer;
  }

  /** Idempotent. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#clients.map((client) => client.close()));
    await Promise.allSettled([...this.#nodes.values()].map((node) => node.close()));
    await this.tap.close();
    await this.#edge.stop();
    await rm(this.#directory, { recursive: true, force: true });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }
}

/** Pages of this context are at that place; it goes with the browser. */
export function contextAt(chromium: Chromium, place: Place): Promise<BrowserContext> {
  return chromium.browser.newContext({
    permissions: ['camera', 'microphone'],
    viewport: { width: 640, height: 480 },
    extraHTTPHeaders: fromPlace(place),
  });
}

function startEdge({ edge }: Pick<FleetOptions, 'edge'>, directory: string, checkout?: string): Promise<Vestibule> {
  return startVestibule({
    part: 'edge',
    stateDirectory: join(directory, 'edge'),
    ...(checkout === undefined ? {} : { checkout }),
    env: { NODE_TOKEN, ADMIN_TOKEN, CLIENT_PLACE_HEADER: PLACE_HEADER, RATE_LIMIT_RPS: '0', ...edge },
  });
}
