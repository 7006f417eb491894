/**
 * A bandwidth estimate for publishers that negotiate goog-remb and no transport-wide feedback. Delay is not looked at:
 * the estimate only follows what arrives and what gets lost, the way libwebrtc's loss-based controller does
 * (draft-ietf-rmcat-gcc-02 §6). Such a sender takes it as a cap on its own estimate, so it is meant to be generous.
 */

/** Below this loss the cap opens, above the other it closes; between them it stays (GCC §6). */
const LOW_LOSS = 0.02;
const HIGH_LOSS = 0.1;
/** Room over what arrives: a sender that ramps up must never wait for us. */
const HEADROOM = 1.5;
/** How fast the cap may open: GCC grows by 5 to 8 % per report, at about one report per second. */
const GROWTH_PER_S = 1.08;
/** A cap below this would stop a publisher that has only just begun. */
const DEFAULT_FLOOR_BPS = 2_000_000;
const DEFAULT_CEILING_BPS = 50_000_000;
const INTERVAL_MS = 1000;
/** A cap that fell by this much is told at once (draft-alvestrand-rmcat-remb-03 §2.3 says 3 %). */
const URGENT_FALL = 0.97;
const MS_PER_S = 1000;

export class RembEstimator {
  readonly #floorBps: number;
  readonly #ceilingBps: number;
  #bitrateBps: number;
  #lastUpdateMs = Number.NaN;
  #toldBps = Number.POSITIVE_INFINITY;
  #toldAtMs = Number.NEGATIVE_INFINITY;

  constructor(floorBps = DEFAULT_FLOOR_BPS, ceilingBps = DEFAULT_CEILING_BPS) {
    this.#floorBps = floorBps;
    this.#ceilingBps = ceilingBps;
    this.#bitrateBps = ceilingBps;
  }

  /** The present cap. */
  get bitrateBps(): number {
    return this.#bitrateBps;
  }

  /**
   * Call about once per second, when the receiver report is made.
   * @param incomingBps what arrives from the publisher, all streams together
   * @param fractionLost 0 to 1, since the last call
   */
  update(incomingBps: number, fractionLost: number, nowMs: number): void {
    const elapsedMs = Number.isNaN(this.#lastUpdateMs) ? 0 : nowMs - this.#lastUpdateMs;
    this.#lastUpdateMs = nowMs;
    if (fractionLost > HIGH_LOSS) {
      // GCC §6: the new rate is the present one × (1 − loss / 2). What arrives may be far below the cap: start there.
      const present = Math.min(this.#bitrateBps, incomingBps * HEADROOM);
      this.#bitrateBps = this.#clamp(present * (1 - fractionLost / 2));
    } else if (fractionLost < LOW_LOSS) {
      const grown = this.#bitrateBps * GROWTH_PER_S ** (elapsedMs / MS_PER_S);
      this.#bitrateBps = this.#clamp(Math.max(grown, incomingBps * HEADROOM));
    }
  }

  /** True: send `bitrateBps` now; it counts as told. */
  due(nowMs: number): boolean {
    const urgent = this.#bitrateBps < this.#toldBps * URGENT_FALL && this.#toldBps !== Number.POSITIVE_INFINITY;
    if (!urgent && nowMs - this.#toldAtMs < INTERVAL_MS) return false;
    this.#toldBps = this.#bitrateBps;
    this.#toldAtMs = nowMs;
    return true;
  }

  #clamp(bitrateBps: number): number {
    return Math.max(this.#floorBps, Math.min(this.#ceilingBps, bitrateBps));
  }
}
