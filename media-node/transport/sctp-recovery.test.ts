/**
 * How soon messages are there although packets are lost, on a virtual clock: what a slow machine does cannot change it.
 * Each of these seeds is a run of its own; not one may stall.
 */
import { describe, expect, test } from 'vitest';
import { type PathTrouble, SctpLossyPath } from './testing/sctp-lossy-path.ts';

const MESSAGES = 4;
const MESSAGE_BYTES = 60_000;
const GIVE_UP_MS = 120_000;
/** Of the real clock, which says nothing here: each of them is a second of work on an idle machine. */
const WORK = { timeout: 120_000 };
/** As late as the transport's deadlines may be. */
const TIMER_LATE_MS = 50;

/** Bytes that tell their place. */
function pattern(seed: number): Buffer {
  return Buffer.from(Uint8Array.from({ length: MESSAGE_BYTES }, (_, index) => (index * 31 + seed) & 0xff));
}
const OURS = Array.from({ length: MESSAGES }, (_, index) => pattern(100 + index));
const THEIRS = Array.from({ length: MESSAGES }, (_, index) => pattern(index));

/** @returns when everything of ours had arrived, and everything of theirs, in ms */
function transfer(seed: number, trouble: PathTrouble): [ours: number, theirs: number] {
  const path = new SctpLossyPath(seed, trouble);
  for (const [index, message] of OURS.entries()) {
    path.sendBack(THEIRS[index] ?? Buffer.alloc(0));
    expect(path.send(message)).toBe(true);
  }
  let oursMs = Number.POSITIVE_INFINITY;
  let theirsMs = Number.POSITIVE_INFINITY;
  path.run(() => {
    if (path.peerHeard.length === MESSAGES) oursMs = Math.min(oursMs, path.nowMs);
    if (path.heard.length === MESSAGES) theirsMs = Math.min(theirsMs, path.nowMs);
    return path.idle;
  }, GIVE_UP_MS);
  // Whole, in order, each once; the last acknowledgements have arrived, too.
  expect([seed, path.idle]).toEqual([seed, true]);
  expect(path.peerHeard.map((data, index) => OURS[index]?.equals(data))).toEqual(OURS.map(() => true));
  expect(path.heard.map((data, index) => THEIRS[index]?.equals(data))).toEqual(THEIRS.map(() => true));
  return [oursMs, theirsMs];
}

const LOOPBACK = [0.2, 2] as const;
const NEAR = [15, 20] as const;
const FAR = [50, 60] as const;
const SATELLITE = [400, 420] as const;
const RAGGED = [1, 100] as const;
/** Of a peer that takes one chunk at a time. */
const NARROW = { bytes: 1_500, keepsMs: 5 };
const OUTAGE = [[200, 10_200]] as const;

/** What is wrong is told each time. */
const LOSSLESS = { loss: 0, delayMs: NEAR, reorders: false, repeats: 0, timerLateMs: TIMER_LATE_MS };

/** Limits in ms: twice of what thousands of seeds took, in the middle and at worst. */
describe.each`
  what                                              | loss   | delayMs     | reorders | repeats | seeds | middleMs  | worstMs
  ${'nothing is lost'}                              | ${0}   | ${LOOPBACK} | ${false} | ${0}    | ${5}  | ${60}     | ${100}
  ${'nothing is lost on a path of 35 ms'}           | ${0}   | ${NEAR}     | ${false} | ${0}    | ${5}  | ${400}    | ${500}
  ${'nothing is lost, packets overtake and repeat'} | ${0}   | ${RAGGED}   | ${true}  | ${0.02} | ${10} | ${3_500}  | ${7_000}
  ${'a tenth is lost'}                              | ${0.1} | ${LOOPBACK} | ${false} | ${0}    | ${40} | ${400}    | ${1_500}
  ${'a tenth is lost on a path of 35 ms'}           | ${0.1} | ${NEAR}     | ${false} | ${0}    | ${20} | ${3_300}  | ${6_000}
  ${'a tenth is lost on a path of 110 ms'}          | ${0.1} | ${FAR}      | ${true}  | ${0.02} | ${10} | ${11_000} | ${16_000}
  ${'a tenth is lost, packets overtake and repeat'} | ${0.1} | ${RAGGED}   | ${true}  | ${0.02} | ${10} | ${10_000} | ${16_000}
  ${'a fifth is lost'}                              | ${0.2} | ${LOOPBACK} | ${false} | ${0}    | ${20} | ${1_000}  | ${8_000}
  ${'a fifth is lost, packets overtake and repeat'} | ${0.2} | ${RAGGED}   | ${true}  | ${0.02} | ${10} | ${17_000} | ${40_000}
  ${'three tenths are lost'}                        | ${0.3} | ${LOOPBACK} | ${false} | ${0}    | ${20} | ${4_000}  | ${30_000}
`('$what', ({ middleMs, worstMs, seeds, ...trouble }) => {
  test(`messages of 60 KB arrive both ways within ${middleMs} ms mostly, and ${worstMs} ms at worst`, WORK, () => {
    const times = Array.from({ length: seeds }, (_, seed) =>
      transfer(seed + 1, { ...trouble, timerLateMs: TIMER_LATE_MS }),
    ).flat();

    times.sort((a, b) => a - b);
    expect(times[times.length >> 1]).toBeLessThan(middleMs);
    expect(times.at(-1)).toBeLessThan(worstMs);
  });
});

describe.each`
  what                                                    | trouble                              | middleMs  | worstMs
  ${'on a path slower than the first timeout'}            | ${{ delayMs: SATELLITE }}            | ${28_000} | ${28_000}
  ${'to a peer that has room for one chunk'}              | ${{ peerRoom: NARROW }}              | ${15_000} | ${16_000}
  ${'to the same while a tenth is lost'}                  | ${{ peerRoom: NARROW, loss: 0.1 }}   | ${17_000} | ${28_000}
  ${'over an outage of ten seconds, a twentieth is lost'} | ${{ outagesMs: OUTAGE, loss: 0.05 }} | ${23_000} | ${36_000}
`('$what', ({ trouble, middleMs, worstMs }) => {
  test(`messages of 60 KB arrive both ways within ${middleMs} ms mostly, and ${worstMs} ms at worst`, WORK, () => {
    const times = Array.from({ length: 5 }, (_, seed) => transfer(seed + 1, { ...LOSSLESS, ...trouble })).flat();

    times.sort((a, b) => a - b);
    expect(times[times.length >> 1]).toBeLessThan(middleMs);
    expect(times.at(-1)).toBeLessThan(worstMs);
  });
});

test('a single small message is there soon after its first packet was lost', () => {
  for (let seed = 1; seed <= 200; seed++) {
    const path = new SctpLossyPath(seed, LOSSLESS);
    path.run(() => path.idle, GIVE_UP_MS);
    expect(path.idle).toBe(true);

    const startMs = path.nowMs;
    path.loseNext(1);
    path.send(Buffer.from('first'));
    path.run(() => path.peerHeard.length === 1, GIVE_UP_MS);

    // One round trip and the lateness of the timer, then half a round trip.
    expect(path.nowMs - startMs).toBeLessThan(250);
  }
});

test('after an outage of ten seconds it takes no longer than two until all is there, and nothing lingers', () => {
  const path = new SctpLossyPath(1, LOSSLESS);
  path.run(() => path.idle, GIVE_UP_MS);
  const startMs = path.nowMs;
  path.loseNext(Number.POSITIVE_INFINITY);
  path.send(OURS[0] ?? Buffer.alloc(0));
  path.run(() => false, startMs + 10_000);
  const during = path.chunks;
  path.loseNext(0);
  path.run(() => path.peerHeard.length === 1, GIVE_UP_MS);
  expect(path.nowMs - startMs).toBeLessThan(13_000);
  expect(during).toBeLessThan(30);

  path.run(() => path.idle, GIVE_UP_MS);
  const againMs = path.nowMs;
  path.loseNext(2);
  path.send(Buffer.from('second'));
  path.run(() => path.peerHeard.length === 2, GIVE_UP_MS);
  expect(path.nowMs - againMs).toBeLessThan(500);
});

test('a peer that never opens its window is asked again, seldom and for ever, and is not taken for dead', () => {
  const path = new SctpLossyPath(1, { ...LOSSLESS, peerRoom: { bytes: 1_500, keepsMs: Number.POSITIVE_INFINITY } });
  expect(path.send(OURS[0] ?? Buffer.alloc(0))).toBe(true);

  path.run(() => false, 600_000);

  expect([path.channel.open, path.channel.bufferedBytes > MESSAGE_BYTES / 2]).toEqual([true, true]);
  expect(path.chunks).toBeLessThan(320);
});
