/** What changed since the edge was told last. Changes within a moment go in one report; one goes at least every two seconds. */
import type { SessionId } from '../../shared/ids.ts';
import type {
  IngressReport,
  LiveReport,
  LobbyLoad,
  NodeLoad,
  RelayReport,
  Report,
} from '../../shared/protocol/control.ts';

const REPORT_DELAY_MS = 50;
/** It carries the load. */
const REPORT_INTERVAL_MS = 2_000;

export interface ReportQueueOptions {
  lobbies(): LobbyLoad[];
  load(): NodeLoad;
  draining(): boolean;
  /** False when there is no link to send it on: what changed is kept. */
  send(report: Report): boolean;
}

export class ReportQueue {
  readonly #options: ReportQueueOptions;
  readonly #ingress = new Map<SessionId, IngressReport>();
  readonly #lives = new Map<string, LiveReport>();
  readonly #relays = new Map<SessionId, RelayReport>();
  #timer: NodeJS.Timeout | null = null;
  readonly #interval: NodeJS.Timeout;

  constructor(options: ReportQueueOptions) {
    this.#options = options;
    this.#interval = setInterval(() => this.#send(), REPORT_INTERVAL_MS);
  }

  ingressChanged(report: IngressReport): void {
    this.#ingress.set(report.session, report);
    this.schedule();
  }

  liveChanged(report: LiveReport): void {
    this.#lives.set(report.live, report);
    this.schedule();
  }

  relayChanged(report: RelayReport): void {
    this.#relays.set(report.session, report);
    this.schedule();
  }

  /** A report is due soon. */
  schedule(): void {
    this.#timer ??= setTimeout(() => this.#send(), REPORT_DELAY_MS);
  }

  /** The full report is being made: nothing more needs to be told. */
  clear(): void {
    this.#ingress.clear();
    this.#lives.clear();
    this.#relays.clear();
  }

  close(): void {
    clearInterval(this.#interval);
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  #send(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    const sent = this.#options.send({
      type: 'report',
      ingress: [...this.#ingress.values()],
      lobbies: this.#options.lobbies(),
      lives: [...this.#lives.values()],
      relays: [...this.#relays.values()],
      draining: this.#options.draining(),
      load: this.#options.load(),
    });
    if (sent) this.clear();
  }
}
