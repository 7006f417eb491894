import { expect, test } from 'vitest';
import type { Mark } from './mark.ts';
import { printPlay, summarizePlay } from './play-summary.ts';
import { addSnapshots, emptySnapshot, type Snapshot } from './snapshot.ts';

const REQUEST = { url: 'http://127.0.0.1/', viewers: 4, sourcePps: undefined };
const PIDS = [7];

function at(atMs: number, serverCpuS: number | null, counts: Partial<Snapshot>): Mark<Snapshot> {
  return { atMs, serverCpuS, counts: { ...emptySnapshot(), ...counts } };
}

const FROM = at(1_000, 2, { connected: 2, packetsOfViewers: [100, 50], bytes: 1_000, generatorCpuS: 1 });
const TO = at(6_000, 2.5, {
  started: 3,
  connected: 2,
  failed: 1,
  ended: 1,
  failures: { refused: 1 },
  packetsOfViewers: [1_100, 550],
  bytes: 101_000,
  expected: 2_000,
  missing: 20,
  gaps: 3,
  joinMs: [10, 20],
  firstPacketMs: [15, 25],
  generatorCpuS: 2,
});

test('rates are of the time between the marks, loss is of all that was expected', () => {
  expect(summarizePlay(REQUEST, PIDS, FROM, TO)).toMatchObject({
    connected: 2,
    withMedia: 2,
    failed: 1,
    notTried: 1,
    ended: 1,
    seconds: 5,
    packetsPerSecond: 300,
    packetsPerSecondPerViewer: { mean: 150, least: 100, most: 200 },
    bytesPerSecond: 20_000,
    loss: 0.01,
    gaps: 3,
    joinMs: { p50: 15 },
    firstPacketMs: { p50: 20 },
    generatorCores: 0.2,
    starved: 1,
  });
});

test('who gets less than what was sent is starved, though nothing is missing', () => {
  expect(summarizePlay({ ...REQUEST, sourcePps: 205 }, PIDS, FROM, TO).starved).toBe(2);
  expect(summarizePlay({ ...REQUEST, sourcePps: 100 }, PIDS, FROM, TO).starved).toBe(0);
});

test('the CPU of the server is told per packet; of a process that is gone nothing is', () => {
  const { server } = summarizePlay(REQUEST, PIDS, FROM, TO);
  expect(server?.cores).toBeCloseTo(0.1);
  expect(server?.usPerPacket).toBeCloseTo(500_000 / 1_500);
  expect(summarizePlay(REQUEST, PIDS, FROM, { ...TO, serverCpuS: null }).server).toBeNull();
  expect(summarizePlay(REQUEST, [], FROM, TO).server).toBeNull();
});

test('the text has what the numbers say, and the failures', () => {
  const text = printPlay(summarizePlay(REQUEST, PIDS, FROM, TO), 1);

  expect(text).toContain('2 of 4 connected, 2 with media, 1 failed, 1 not tried, 1 ended by the server');
  expect(text).toContain('loss         1.0000 %: 20 of 2000, 3 gaps');
  expect(text).toContain('1 × refused');
  expect(text).not.toContain('too busy');
});

test('a generator that has no time left says so', () => {
  const busy = { ...TO, counts: { ...TO.counts, generatorCpuS: 6 } };

  expect(printPlay(summarizePlay(REQUEST, PIDS, FROM, busy), 1)).toContain('too busy');
  expect(printPlay(summarizePlay(REQUEST, PIDS, FROM, busy), 2)).not.toContain('too busy');
});

test('when nothing connected only the reasons are told', () => {
  const nothing = at(2_000, null, { started: 4, failed: 4, failures: { refused: 4 } });
  const text = printPlay(summarizePlay(REQUEST, [], at(1_000, null, {}), nothing), 1);

  expect(text.split('\n')).toEqual([expect.stringContaining('0 of 4 connected'), 'failed       4 × refused']);
});

test('snapshots of several processes add up', () => {
  const sum = addSnapshots([TO.counts, { ...TO.counts, failures: { refused: 2, late: 1 } }]);

  expect(sum).toMatchObject({ started: 6, connected: 4, failed: 2, missing: 40, expected: 4_000, bytes: 202_000 });
  expect(sum.failures).toEqual({ refused: 3, late: 1 });
  expect(sum.packetsOfViewers).toEqual([1_100, 550, 1_100, 550]);
});
