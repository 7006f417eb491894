/** Several nodes in one process, each with its own port; the test is their edge. */
import { onTestFinished } from 'vitest';
import type { FanoutEngine } from '../../media-node/forward/fanout-engine.ts';
import { type Publisher, publish } from '../support/client/publisher.ts';
import { play, type Viewer } from '../support/client/viewer.ts';
import { type NodeUnderTest, openNodeUnderTest } from '../support/node-under-test.ts';
import type { PublisherWishes, ViewerWishes } from './bed.ts';

export const ROOM = 'main';

export interface FleetBed {
  nodes: readonly NodeUnderTest[];
  publish(node: NodeUnderTest, wishes?: PublisherWishes): Promise<Publisher>;
  play(node: NodeUnderTest, wishes?: ViewerWishes): Promise<Viewer>;
}

/** Everything that it opens is closed when the test is over. */
export async function openFleet(count: number, engine?: () => FanoutEngine): Promise<FleetBed> {
  const nodes = await Promise.all(
    Array.from({ length: count }, (_, index) =>
      openNodeUnderTest({ id: `node-${index}`, ...(engine === undefined ? {} : { engine: engine() }) }),
    ),
  );
  const clients: { close(): Promise<void> }[] = [];
  onTestFinished(async () => {
    await Promise.all(clients.map((client) => client.close().catch(() => undefined)));
    await Promise.all(nodes.map((node) => node.close()));
  });
  return {
    nodes,
    async publish(node, { room = ROOM, signalling = node.publishing(room), ...wishes } = {}) {
      const publisher = await publish({ ...wishes, signalling });
      clients.push(publisher);
      return publisher;
    },
    async play(node, { room = ROOM, ...wishes } = {}) {
      const viewer = await play({ ...wishes, signalling: node.playing(room) });
      clients.push(viewer);
      return viewer;
    },
  };
}
