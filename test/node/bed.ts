/** A node, clients and their orderly end, for one test. */
import { onTestFinished } from 'vitest';
import { type Publisher, type PublishOptions, publish } from '../support/client/publisher.ts';
import type { Signalling } from '../support/client/signalling.ts';
import { type PlayOptions, play, type Viewer } from '../support/client/viewer.ts';
import { droppedDatagrams } from '../support/dropped-datagrams.ts';
import { type NodeUnderTest, type NodeUnderTestOptions, openNodeUnderTest } from '../support/node-under-test.ts';
import { until } from '../support/until.ts';

const ROOM = 'main';

type Without<T> = T extends unknown ? Omit<T, 'signalling' | 'url' | 'token'> : never;
export type PublisherWishes = Partial<Without<PublishOptions>> & { room?: string; signalling?: Signalling };
export type ViewerWishes = Partial<Without<PlayOptions>> & { room?: string };

export interface Bed {
  node: NodeUnderTest;
  publish(wishes?: PublisherWishes): Promise<Publisher>;
  play(wishes?: ViewerWishes): Promise<Viewer>;
  /** Drops the references to clients that were closed already. */
  forget(): void;
}

/** Everything that it opens is closed when the test is over. */
export async function openBed(options: NodeUnderTestOptions = {}): Promise<Bed> {
  const node = await openNodeUnderTest(options);
  const clients: { close(): Promise<void> }[] = [];
  onTestFinished(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await node.close();
  });
  return {
    node,
    async publish({ room = ROOM, signalling = node.publishing(room), ...wishes } = {}) {
      const publisher = await publish({ ...wishes, signalling });
      clients.push(publisher);
      return publisher;
    },
    async play({ room = ROOM, ...wishes } = {}) {
      const viewer = await play({ ...wishes, signalling: node.playing(room) });
      clients.push(viewer);
      return viewer;
    },
    forget() {
      clients.length = 0;
    },
  };
}

/**
 * What a viewer may have missed where nothing is lost: nothing, unless others kept the machine so busy that a socket of this
 * process, in which everybody lives, overflowed.
 */
export function whole(): { missing?: 0 } {
  return droppedDatagrams() === 0 ? { missing: 0 } : {};
}

/** Waits until that many more video frames came. */
export async function moreFrames(viewer: Viewer, count: number): Promise<void> {
  const goal = viewer.video.frameCount + count;
  await until(
    () => viewer.video.frameCount >= goal,
    () => `${count} frames; ${describeVideo(viewer)}`,
  );
}

export function describeVideo(viewer: Viewer): string {
  const { frameCount, packets, missing, duplicates, recovered, keyframes } = viewer.video;
  const { rejected } = viewer.session.transport;
  return JSON.stringify({ frameCount, packets, missing, duplicates, recovered, keyframes, rejected });
}
