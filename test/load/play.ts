/** `play`: viewers join, are counted for a while, and leave. */
import { setTimeout as delay } from 'node:timers/promises';
import type { PlayRequest } from './arguments.ts';
import { localAddressTowards } from './local-address.ts';
import { type Mark, mark } from './mark.ts';
import { lossOf, type PlaySummary, summarizePlay } from './play-summary.ts';
import { ProcessGroup } from './process-group.ts';
import { openProgress } from './progress.ts';
import { serverProcesses } from './server-process.ts';
import { emptySnapshot, packetsOf, type Snapshot } from './snapshot.ts';
import { type LoadGroup, PENDING_GRACE_MS, ViewerGroup } from './viewer-group.ts';

const MS_PER_S = 1_000;
const PERCENT = 100;
/** After the last join, as joins are work that is not the forwarding. */
const SETTLE_MS = 2_000;
const PROGRESS_INTERVAL_MS = 1_000;

/** @param stop ends it early; what was counted until then is told all the same */
export async function runPlay(request: PlayRequest, stop: AbortSignal): Promise<PlaySummary> {
  const { url, token, viewers, joinsPerSecond, codecs, srtp, feedback, native, processes } = request;
  const address = request.bind ?? (await localAddressTowards(url));
  const options = { url, token, address, viewers, joinsPerSecond, codecs: [...codecs], srtp, feedback, native };
  const group: LoadGroup = processes === 1 ? new ViewerGroup(options) : new ProcessGroup(options, processes);
  // Stops the waiting, on request or when nobody is left to count.
  const over = new AbortController();
  const { signal } = over;
  const halt = (): void => over.abort();
  if (stop.aborted) halt();
  stop.addEventListener('abort', halt);
  const watch = watchGroup(group, request, halt);
  try {
    let pids = serverProcesses(request.pid, []);
    let from: Mark<Snapshot> = mark(emptySnapshot(), pids);
    const joining = group.join();
    await Promise.race([joining, aborted(signal)]);
    if (signal.aborted) {
      group.halt();
      await Promise.race([joining, delay(PENDING_GRACE_MS, undefined, { ref: false })]);
    }
    const { connected, serverPorts } = await group.snapshot();
    if (!signal.aborted && connected > 0) {
      pids = serverProcesses(request.pid, serverPorts);
      await wait(SETTLE_MS, signal);
      if (!signal.aborted) from = mark(await group.snapshot(), pids);
      await wait(request.seconds * MS_PER_S, signal);
    }
    return summarizePlay(request, pids, from, mark(await group.snapshot(), pids));
  } finally {
    stop.removeEventListener('abort', halt);
    watch.stop();
    await group.close();
  }
}

/** 0 ms: until the signal. */
async function wait(durationMs: number, signal: AbortSignal): Promise<void> {
  if (durationMs === 0) await aborted(signal);
  else await delay(durationMs, undefined, { signal }).catch(() => {});
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

function watchGroup(group: LoadGroup, { viewers }: PlayRequest, onAllGone: () => void): { stop(): void } {
  const progress = openProgress();
  let before: Mark<Snapshot> = mark(emptySnapshot());
  const look = async (): Promise<void> => {
    const now = mark(await group.snapshot());
    const { counts } = now;
    const packets = packetsOf(counts) - packetsOf(before.counts);
    const rate = (packets * MS_PER_S) / (now.atMs - before.atMs);
    before = now;
    progress.show(
      `${counts.connected - counts.ended} of ${viewers} connected, ${counts.failed} failed, ` +
        `${rate.toFixed(0)} packets/s, loss ${(lossOf(counts) * PERCENT).toFixed(3)} %`,
    );
    const isDone = counts.connected + counts.failed === viewers;
    if (isDone && counts.connected > 0 && counts.ended === counts.connected) onAllGone();
  };
  const timer = setInterval(() => void look(), PROGRESS_INTERVAL_MS);
  return {
    stop() {
      clearInterval(timer);
      progress.clear();
    },
  };
}
