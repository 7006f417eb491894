/** A node with its recordings, an edge for them, and publishers; everything is closed when the test is over. */
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { Recordings } from '../../../media-node/record/recordings.ts';
import type { RecorderSettings } from '../../../media-node/record/worker-messages.ts';
import type { SessionId } from '../../../shared/ids.ts';
import { lobbyOf, type NodeUnderTest, openNodeUnderTest } from '../../support/node-under-test.ts';
import { WhipFront } from '../../support/whip-front.ts';
import { RecordsEdge } from './records-edge.ts';
import { recorderSettings } from './settings.ts';

export const ROOM = 'studio';

export interface Studio {
  node: NodeUnderTest;
  edge: RecordsEdge;
  recordings: Recordings;
  folder: string;
  /** A WHIP endpoint whose sessions are recorded as the edge would have it. */
  front: WhipFront;
  /** What the room's publisher is now becomes known to the recordings. */
  sync(replaces?: SessionId | null): void;
  logs: string[];
  files(): Promise<string[]>;
}

export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'vestibule-records-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export async function openStudio(settings: Partial<RecorderSettings> = {}): Promise<Studio> {
  const folder = await temporaryFolder();
  const edge = await RecordsEdge.open();
  onTestFinished(() => edge.close());
  const node = await openNodeUnderTest();
  onTestFinished(() => node.close());
  const logs: string[] = [];
  const recordings = new Recordings({
    context: {
      endpoint: node.endpoint,
      forwarder: node.forwarder,
      now: () => performance.now(),
      log: (message) => void logs.push(message),
    },
    settings: { ...recorderSettings(folder, edge.url), ...settings },
  });
  onTestFinished(() => recordings.close());
  const front = await WhipFront.open(() => node.publishing(ROOM));
  onTestFinished(() => front.close());
  return {
    ...{ node, edge, recordings, folder, front, logs },
    sync(replaces = null) {
      const publisher = [...node.node.lobbies()].find(({ id }) => id === lobbyOf(ROOM))?.publisher ?? null;
      const tracks = (publisher?.sources ?? []).map(({ mid, codec }) => ({
        mid,
        codec,
        track: publisher?.sourceTrack(mid) ?? null,
      }));
      const present = publisher === null || publisher.closed ? [] : [{ session: publisher.id, replaces, tracks }];
      recordings.present(lobbyOf(ROOM), present);
    },
    files: async () => (await readdir(settings.folder ?? folder)).filter((name) => !name.includes('.json')).sort(),
  };
}
