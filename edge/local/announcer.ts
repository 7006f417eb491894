/**
 * Says on stdout that everything is up: for people (the banner), or with VESTIBULE_READY=json one JSON object per line:
 * `ready` once, then `workerd`, `node` and `worker` when one of them was replaced.
 */
import { networkInterfaces } from 'node:os';
import { setTimeout as delay } from 'node:timers/promises';
import { banner } from './banner.ts';
import type { Demo } from './demo.ts';
import type { MediaNodeReady, WorkerReady } from './media-node-process.ts';
import { VERSION } from './project.ts';
import type { Settings } from './settings.ts';

/** The node links within milliseconds; when it does not, people should still learn where the edge is. */
const LINK_DEADLINE_MS = 5_000;

export class Announcer {
  readonly #settings: Settings;
  readonly #secretsFile: string | null;
  readonly #linked = Promise.withResolvers<void>();
  #isLinked = false;
  #announced = false;
  #url: URL | null = null;
  #workerdPid: number | undefined;
  #node: MediaNodeReady | null = null;
  #nodePid: number | undefined;
  #demo: Demo | null = null;

  constructor(settings: Settings, secretsFile: string | null) {
    this.#settings = settings;
    this.#secretsFile = secretsFile;
  }

  edgeReady(url: URL): void {
    this.#url = url;
  }

  demoOpened(demo: Demo): void {
    this.#demo = demo;
  }

  workerdStarted(pid: number | undefined): void {
    this.#workerdPid = pid;
    if (this.#announced) this.#tell({ event: 'workerd', workerdPid: pid });
  }

  nodeReady(node: MediaNodeReady, pid: number | undefined): void {
    this.#node = node;
    this.#nodePid = pid;
    if (this.#announced) this.#tell({ event: 'node', node: { ...node, pid } });
  }

  nodeLinked(): void {
    this.#isLinked = true;
    this.#linked.resolve();
    if (this.#announced) this.#tell({ event: 'linked' });
  }

  workerReplaced(worker: WorkerReady): void {
    this.#tell({ event: 'worker', ...worker });
  }

  /** Resolves when the node is linked, or when that takes too long. */
  async whenLinked(): Promise<void> {
    await Promise.race([this.#linked.promise, delay(LINK_DEADLINE_MS, undefined, { ref: false })]);
  }

  announce(): void {
    const url = this.#url;
    if (url === null) throw new Error('There is nothing to announce before the edge is ready');
    this.#announced = true;
    if (this.#settings.launcher.VESTIBULE_READY === 'json') {
      const node = this.#node === null ? null : { ...this.#node, pid: this.#nodePid, linked: this.#isLinked };
      this.#tell({
        event: 'ready',
        url: url.origin,
        version: VERSION,
        pid: process.pid,
        workerdPid: this.#workerdPid,
        node,
        demo: this.#demo,
      });
      return;
    }
    const text = banner({
      version: VERSION,
      settings: this.#settings,
      url,
      node: this.#node,
      demo: this.#demo,
      secretsFile: this.#secretsFile,
      interfaces: networkInterfaces(),
      color: process.stdout.isTTY === true && process.env.NO_COLOR === undefined,
    });
    process.stdout.write(text);
    if (this.#node !== null && !this.#isLinked) {
      process.stdout.write('  The media node has not linked to the edge yet; it keeps trying.\n');
    }
  }

  #tell(event: object): void {
    if (this.#settings.launcher.VESTIBULE_READY === 'json') process.stdout.write(`${JSON.stringify(event)}\n`);
  }
}
