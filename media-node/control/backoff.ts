/** Delay before attempt `attempt` (0, 1, 2, …): doubling from `baseMs` to `maxMs`, of which a random half is kept back, so
 * that a thousand nodes cut off together do not all dial again in the same instant. `random` is in [0, 1). */
export function backoffMs(attempt: number, random: number, baseMs: number, maxMs: number): number {
  const ceiling = Math.min(maxMs, baseMs * 2 ** Math.min(attempt, 30));
  return ceiling / 2 + (ceiling / 2) * random;
}
