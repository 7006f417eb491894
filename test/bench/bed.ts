/** A running system with a publisher and counting viewers, and a window of time in which it is measured. */
import { setTimeout as delay } from 'node:timers/promises';
import type { GroupOptions } from '../load/viewer-group.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import type { EngineName } from './bench.ts';
import { type Pattern, PublisherProcess, type SeenCount, type SentCount, ViewersProcess } from './load-process.ts';
import { nodeTotals } from './node-totals.ts';
import { cpuTime, residentBytes, waitedSeconds } from './process-usage.ts';

const MS_PER_S = 1_000;
const US_PER_S = 1e6;
/** Room for any number of viewers that a bench may ask for. */
const CAPACITY = '100000';
/** After joins, until what they cost is over. */
const SETTLE_MS = 2_000;
/** Who gets less than this share of what was sent is starved. */
export const STARVED_BELOW = 0.99;

export interface BedOptions {
  engine: EngineName;
  pattern: Pattern;
  viewers?: Partial<GroupOptions>;
}

export class BenchBed implements AsyncDisposable {
  readonly vestibule: Vestibule;
  readonly publisher: PublisherProcess;
  readonly viewers: ViewersProcess;
  #open = 0;

  private constructor(vestibule: Vestibule, publisher: PublisherProcess, viewers: ViewersProcess) {
    this.vestibule = vestibule;
    this.publisher = publisher;
    this.viewers = viewers;
  }

  static async start({ engine, pattern, viewers }: BedOptions): Promise<BenchBed> {
    await using starting = new AsyncDisposableStack();
    const vestibule = starting.use(await startEngine(engine));
    const publisher = starting.use(await PublisherProcess.start(publishUrl(vestibule), pattern));
    const watching = starting.use(await ViewersProcess.start(playUrl(vestibule), viewers));
    starting.move();
    return new BenchBed(vestibule, publisher, watching);
  }

  get nodePid(): number {
    return this.vestibule.node.pid;
  }

  /** What the node counts of itself. */
  totals(): Promise<ReadonlyMap<string, number>> {
    return nodeTotals(this.vestibule.node.status ?? '');
  }

  /** Joins or leaves until there are so many, and lets them settle. */
  async bringTo(count: number, joinsPerSecond?: number): Promise<void> {
    if (count > this.#open) await this.viewers.add(count - this.#open, joinsPerSecond);
    else await this.viewers.remove(this.#open - count);
    this.#open = count;
    await delay(SETTLE_MS);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.viewers[Symbol.asyncDispose]();
    await this.publisher[Symbol.asyncDispose]();
    await this.vestibule[Symbol.asyncDispose]();
  }
}

export function startEngine(engine: EngineName): Promise<Vestibule> {
  return startVestibule({ env: { FANOUT_ENGINE: engine, NODE_CAPACITY: CAPACITY, NODE_STATUS_PORT: '0' } });
}

export function publishUrl({ url }: Vestibule): string {
  return `${url}/api/whip/publish/bench`;
}

export function playUrl({ url }: Vestibule): string {
  return `${url}/api/whep/play/bench`;
}

export interface Window {
  seconds: number;
  /** Of the node's CPU, for each packet that came to viewers. */
  userUs: number;
  systemUs: number;
  /** Of the node. */
  cores: number;
  /** Share of the time that the node wanted to run and had no core. */
  waited: number;
  packetsPerSecond: number;
  sourcePps: number;
  sourceMbps: number;
  viewers: number;
  /** Got less than 99 % of what was sent in the time. */
  starved: number;
  /** What all together got of what was sent, 0 to 1. */
  delivered: number;
  /** That of the one who got the least. */
  leastDelivered: number;
  /** Of the numbers in the window. */
  loss: number;
  overflowed: number;
  /** Packets that the node gave up, and how many of them because they had waited for too long. */
  notSent: number;
  tooLate: number;
  /** Packets that the node sent more than 10 ms after they came. */
  delayed: number;
  /** Packets in a message to the kernel; null for an engine that sends each by itself. */
  perMessage: number | null;
  feedbackPerSecond: number;
  residentBytes: number;
  generatorCores: number;
  /** Of what counts packets; null where that cannot be told apart. */
  receiverUs: number | null;
  from: { seen: SeenCount; sent: SentCount };
  to: { seen: SeenCount; sent: SentCount };
}

export async function measureWindow(bed: BenchBed, windowMs: number): Promise<Window> {
  const node = bed.nodePid;
  const from = { sent: await bed.publisher.count(), seen: await bed.viewers.count() };
  const totals = await bed.totals();
  const before = { cpu: cpuTime(node), waitedS: waitedSeconds(node), atMs: performance.now() };
  await delay(windowMs);
  const cpu = cpuTime(node);
  const waitedS = waitedSeconds(node) - before.waitedS;
  const cpuS = (performance.now() - before.atMs) / MS_PER_S;
  const to = { seen: await bed.viewers.count(), sent: await bed.publisher.count() };
  const totalsAfter = await bed.totals();
  const grown = (name: string): number => (totalsAfter.get(name) ?? 0) - (totals.get(name) ?? 0);

  const seconds = (to.seen.atMs - from.seen.atMs) / MS_PER_S;
  const packets = to.seen.packets - from.seen.packets;
  const sourceS = (to.sent.atMs - from.sent.atMs) / MS_PER_S;
  const sourcePps = (to.sent.packets - from.sent.packets) / sourceS;
  const rates = to.seen.packetsOfViewers.map(
    (count, index) => (count - (from.seen.packetsOfViewers[index] ?? 0)) / seconds / sourcePps,
  );
  const packetsPerSecond = packets / seconds;
  const userPerSecond = (cpu.user - before.cpu.user) / cpuS;
  const systemPerSecond = (cpu.system - before.cpu.system) / cpuS;
  const expected = to.seen.expected - from.seen.expected;
  return {
    seconds,
    userUs: (userPerSecond * US_PER_S) / packetsPerSecond,
    systemUs: (systemPerSecond * US_PER_S) / packetsPerSecond,
    cores: userPerSecond + systemPerSecond,
    waited: waitedS / cpuS,
    packetsPerSecond,
    sourcePps,
    sourceMbps: ((to.sent.bytes - from.sent.bytes) * 8) / sourceS / 1e6,
    viewers: rates.length,
    starved: rates.filter((share) => share < STARVED_BELOW).length,
    delivered: packetsPerSecond / sourcePps / Math.max(1, rates.length),
    leastDelivered: rates.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY),
    loss: expected <= 0 ? 0 : Math.max(0, to.seen.missing - from.seen.missing) / expected,
    overflowed: to.seen.overflowed - from.seen.overflowed,
    notSent: grown('dropped_out'),
    tooLate: grown('too_late_out'),
    delayed: grown('delayed_out'),
    perMessage: grown('messages_out') > 0 ? grown('packets_out') / grown('messages_out') : null,
    feedbackPerSecond: (to.seen.feedback - from.seen.feedback) / seconds,
    residentBytes: residentBytes(node),
    generatorCores: (to.seen.generatorCpuS - from.seen.generatorCpuS) / seconds,
    receiverUs: to.seen.native ? ((to.seen.receiverCpuS - from.seen.receiverCpuS) * US_PER_S) / packets : null,
    from,
    to,
  };
}
