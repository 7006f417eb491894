/** A crowd through each engine, of both protections: it gets everything, while others come and go, and leaves nothing. */
import { readdirSync } from 'node:fs';
import { expect, test } from 'vitest';
import { z } from 'zod';
import { until } from '../e2e/support/until.ts';
import { VIDEO } from '../support/client/pattern.ts';
import { publish } from '../support/client/publisher.ts';
import { startVestibule } from '../support/start-vestibule.ts';
import { NO_FEEDBACK } from './feedback.ts';
import { ViewerGroup } from './viewer-group.ts';

const PPS = 300;
const JOINS_PER_SECOND = 40;
const WATCH_MS = 8_000;
const COMERS = 10;
/** A slow machine with two cores has others to serve as well. */
const LOSS_BOUND = 0.001;
// A machine that does other things as well keeps a node waiting for its core; packets that came late are no packets lost.
const LEAST_SHARE = 0.8;
/** What the link to the edge or a log may open meanwhile. */
const DESCRIPTORS_SPARE = 3;
const LEAVE_DEADLINE_MS = 30_000;

const roomsSchema = z.array(z.object({ subscribers: z.number() }));

test.each([
  ['portable', 50],
  ['native', 200],
] as const)(
  '%s: %i viewers',
  async (engine, viewers) => {
    await using vestibule = await startVestibule({ env: { FANOUT_ENGINE: engine } });
    expect(vestibule.node.engine).toBe(engine);
    const descriptors = (): number => readdirSync(`/proc/${vestibule.node.pid}/fd`).length;
    const subscribers = async (): Promise<number> => {
      const response = await fetch(`${vestibule.url}/api/rooms`);
      return roomsSchema.parse(await response.json()).reduce((sum, room) => sum + room.subscribers, 0);
    };
    const publisher = await publish({
      url: `${vestibule.url}/api/whip/publish/crowd`,
      video: { ...VIDEO, packetsPerSecond: PPS - 50, bitrateBps: 1_500_000 },
    });
    const options = {
      url: `${vestibule.url}/api/whep/play/crowd`,
      address: '127.0.0.1',
      joinsPerSecond: JOINS_PER_SECOND,
      codecs: ['H264' as const],
      srtp: 'both' as const,
      feedback: { ...NO_FEEDBACK, rr: 1 },
      native: true,
    };
    const crowd = new ViewerGroup({ ...options, viewers });
    const comers = new ViewerGroup({ ...options, viewers: COMERS });
    try {
      const before = descriptors();
      await crowd.join();
      const from = { sent: publisher.packetsSent, seen: await crowd.snapshot() };
      const endMs = performance.now() + WATCH_MS;
      while (performance.now() < endMs) {
        await comers.add(COMERS, JOINS_PER_SECOND);
        await comers.remove(COMERS);
      }
      const to = { sent: publisher.packetsSent, seen: await crowd.snapshot() };

      expect(to.seen).toMatchObject({ connected: viewers, failed: 0, ended: 0 });
      expect((await comers.snapshot()).failed).toBe(0);
      // What a viewer gets is told by the source's rate: gaps alone would hide a server that leaves packets out.
      const sent = to.sent - from.sent;
      const shares = to.seen.packetsOfViewers.map(
        (packets, at) => (packets - (from.seen.packetsOfViewers[at] ?? 0)) / sent,
      );
      expect(Math.min(...shares)).toBeGreaterThan(LEAST_SHARE);
      expect(to.seen.missing / to.seen.expected).toBeLessThan(LOSS_BOUND);
      expect(to.seen.rtcp).toBeGreaterThan(0);

      await Promise.all([crowd.close(), comers.close()]);
      await until('all sessions are gone', async () => (await subscribers()) === 0, LEAVE_DEADLINE_MS);
      expect(descriptors()).toBeLessThanOrEqual(before + DESCRIPTORS_SPARE);
    } finally {
      await Promise.all([crowd.close(), comers.close(), publisher.close()]);
    }
  },
  120_000,
);
