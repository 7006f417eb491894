/** A recording of 300 MB on its way through a system, and what that takes of memory. */
import { createHash, randomBytes } from 'node:crypto';
import { PART_BYTES, type PartReceipt } from '../../../shared/protocol/records.ts';
import { residentBytes } from '../../bench/process-usage.ts';
import type { Vestibule } from '../../support/start-vestibule.ts';
import { CatalogueClient } from '../catalogue-client.ts';
import { ADMIN, NODE_TOKEN } from './system.ts';

/** 304 MiB. */
const PARTS = 19;
/** By then the runtime has its buffers and its compiled code. */
const WARM_BYTES = 5 * PART_BYTES;
const END_BYTES = 1_000;
const SAMPLE_MS = 50;
const MIB = 2 ** 20;

/** How much workerd or the launcher, whichever is worse, grew after the first 80 MiB of the work, MiB. */
async function growthMiB(
  vestibule: Vestibule,
  work: (passed: (bytes: number) => void) => Promise<void>,
): Promise<number> {
  const pids = [vestibule.workerdPid, vestibule.pid];
  const highest = pids.map(() => 0);
  let warm: number[] | null = null;
  const look = (): void => {
    for (const [at, pid] of pids.entries()) highest[at] = Math.max(highest[at] ?? 0, residentBytes(pid));
  };
  let bytes = 0;
  const timer = setInterval(look, SAMPLE_MS);
  try {
    await work((passed) => {
      bytes += passed;
      if (warm !== null || bytes < WARM_BYTES) return;
      look();
      warm = [...highest];
    });
    look();
  } finally {
    clearInterval(timer);
  }
  return Math.max(...highest.map((most, at) => most - (warm?.[at] ?? 0))) / MIB;
}

export class LongFile {
  readonly #vestibule: Vestibule;
  readonly #client: CatalogueClient;
  /** Each part is the same. */
  readonly #bytes = randomBytes(PART_BYTES);
  readonly #sent = createHash('sha256');

  constructor(vestibule: Vestibule) {
    this.#vestibule = vestibule;
    this.#client = new CatalogueClient(vestibule.url, NODE_TOKEN, 'long');
  }

  /** To the end: `ready`. Resolves with the growth, MiB. */
  async upload(): Promise<number> {
    const client = this.#client;
    await client.begin();
    const plan = await client.plan();
    return growthMiB(this.#vestibule, async (passed) => {
      const receipts: PartReceipt[] = [];
      for (let part = 1; part <= PARTS; part++) {
        receipts.push(await client.sent(plan, part, this.#bytes));
        this.#sent.update(this.#bytes);
        passed(PART_BYTES);
      }
      const completed = await client.complete(receipts, PARTS * PART_BYTES);
      if (!completed.ok) throw new Error(`not complete: ${completed.status} ${await completed.text()}`);
    });
  }

  /** Its last bytes are what was sent last. @throws Error when they are not */
  async checkEnd(): Promise<void> {
    const headers = { ...ADMIN, Range: `bytes=-${END_BYTES}` };
    const end = Buffer.from(await (await this.#fetch(headers)).arrayBuffer());
    if (!end.equals(this.#bytes.subarray(-END_BYTES))) throw new Error('what came back is something else');
  }

  /** Resolves with the growth, MiB. @throws Error when it is not what was sent */
  async download(): Promise<number> {
    return growthMiB(this.#vestibule, async (passed) => {
      const file = await this.#fetch(ADMIN);
      const got = createHash('sha256');
      for await (const chunk of file.body ?? []) {
        got.update(chunk);
        passed(chunk.length);
      }
      if (got.digest('hex') !== this.#sent.digest('hex')) throw new Error('what came back is something else');
    });
  }

  #fetch(headers: Record<string, string>): Promise<Response> {
    return fetch(`${this.#vestibule.url}/records/${this.#client.name}`, { headers });
  }
}
