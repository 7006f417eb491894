/** One timer for all clients of a process, so that hundreds of them cost one wake-up. */
const TICK_MS = 20;

type Tick = (nowMs: number) => void;

const ticks = new Set<Tick>();
let timer: NodeJS.Timeout | null = null;

/** Calls `tick` every 20 ms until the returned function is called. */
export function everyTick(tick: Tick): () => void {
  ticks.add(tick);
  timer ??= setInterval(() => {
    const nowMs = performance.now();
    for (const each of ticks) each(nowMs);
  }, TICK_MS);
  return () => {
    ticks.delete(tick);
    if (ticks.size > 0 || timer === null) return;
    clearInterval(timer);
    timer = null;
  };
}
