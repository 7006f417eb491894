import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type CountedStats, receivedPackets, receivedSigns, SILENCE_MS, SilenceWatch } from './silence-watch.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function bed() {
  const world = { state: 'connected', stats: [{ type: 'inbound-rtp', packetsReceived: 1 }] as CountedStats[] };
  const connect = () =>
    ({
      get connectionState() {
        return world.state;
      },
      getStats: async () => new Map(world.stats.entries()),
    }) as unknown as RTCPeerConnection;
  const used = { connection: connect() as RTCPeerConnection | null };
  const said: string[] = [];
  const watch = new SilenceWatch({
    connection: () => used.connection,
    count: receivedPackets,
    onSilent: () => said.push('silent'),
    onFlowing: () => said.push('flowing'),
  });
  watch.start();
  return {
    world,
    used,
    connect,
    watch,
    async after(ms: number, packets = 0): Promise<string[]> {
      world.stats = [{ type: 'inbound-rtp', packetsReceived: (world.stats[0]?.packetsReceived ?? 0) + packets }];
      await vi.advanceTimersByTimeAsync(ms);
      return said.splice(0);
    },
  };
}

it('tells that packets flow, that none came for a while, and that they flow again', async () => {
  const { after } = bed();
  expect(await after(1_000)).toEqual([]);
  expect(await after(1_000, 5)).toEqual(['flowing']);
  expect(await after(SILENCE_MS - 1_000)).toEqual([]);
  expect(await after(2_000)).toEqual(['silent', 'silent']);
  expect(await after(1_000, 1)).toEqual(['flowing']);
});

it('begins anew with another connection, and says nothing of one that is not connected', async () => {
  const { after, used, connect, world } = bed();
  await after(2_000);
  used.connection = connect();
  expect(await after(SILENCE_MS)).toEqual([]);
  world.state = 'disconnected';
  expect(await after(SILENCE_MS * 2)).toEqual([]);
});

it('says nothing after its end', async () => {
  const { after, watch } = bed();
  await after(1_000);
  watch.stop();
  expect(await after(SILENCE_MS * 2, 9)).toEqual([]);
  expect(vi.getTimerCount()).toBe(0);
});

it('counts media for viewers, and any sign of life for publishers', () => {
  const stats: CountedStats[] = [
    { type: 'inbound-rtp', packetsReceived: 3 },
    { type: 'inbound-rtp', packetsReceived: 4 },
    { type: 'candidate-pair', bytesReceived: 100, responsesReceived: 2 },
    { type: 'candidate-pair', bytesReceived: 0 },
    { type: 'transport', bytesReceived: 999 },
  ];
  expect(receivedPackets(stats)).toBe(7);
  expect(receivedSigns(stats)).toBe(102);
  // A browser that does not tell is not a server that does not speak.
  expect(receivedSigns([{ type: 'candidate-pair' }])).toBeNull();
});
