/** POST → 201 over the local edge: what signalling costs before any packet flows. */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { randomBase32 } from '../../shared/ids.ts';
import { readOffer } from '../support/recorded-offers.ts';
import { startVestibule } from '../support/start-vestibule.ts';
import { type Bench, RUNS, type Table } from './bench.ts';
import { PublisherProcess, QUIET } from './load-process.ts';
import { quantile, spread } from './statistics.ts';

const REQUESTS = 200;
const WARM_UP_REQUESTS = 100;

interface Reply {
  status: number;
  location: string;
  body: string;
  /** From before the request to the last byte of the body. */
  tookMs: number;
}

class KeepAliveClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  async send(method: 'POST' | 'DELETE', url: string, body = ''): Promise<Reply> {
    const startMs = performance.now();
    const outgoing = request(url, {
      agent: this.#agent,
      method,
      headers: body === '' ? {} : { 'Content-Type': 'application/sdp', 'Content-Length': Buffer.byteLength(body) },
    });
    outgoing.end(body);
    const [response] = (await once(outgoing, 'response')) as [IncomingMessage];
    const chunks: Buffer[] = [];
    for await (const chunk of response) chunks.push(chunk as Buffer);
    const location = response.headers.location ?? '';
    return {
      status: response.statusCode ?? 0,
      location: location === '' ? '' : new URL(location, url).href,
      body: Buffer.concat(chunks).toString(),
      tookMs: performance.now() - startMs,
    };
  }

  close(): void {
    this.#agent.destroy();
  }
}

/** A real browser's offer with credentials of its own, as each new session has. */
function fresh(offer: string): string {
  return offer
    .replaceAll(/a=ice-ufrag:\S+/g, `a=ice-ufrag:${randomBase32(3)}`)
    .replaceAll(/a=ice-pwd:\S+/g, `a=ice-pwd:${randomBase32(15)}`);
}

/** Opens and deletes sessions one after the other; the times of the POSTs. */
async function measure(client: KeepAliveClient, url: string, offer: string, count: number): Promise<number[]> {
  const times: number[] = [];
  for (let i = 0; i < count; i++) {
    const reply = await client.send('POST', url, fresh(offer));
    if (reply.status !== 201) throw new Error(`POST ${url}: ${reply.status} ${reply.body}`);
    times.push(reply.tookMs);
    const deleted = await client.send('DELETE', reply.location);
    if (deleted.status !== 200) throw new Error(`DELETE ${reply.location}: ${deleted.status} ${deleted.body}`);
  }
  return times;
}

export const httpBench: Bench = {
  name: 'http',
  about: 'POST to 201, WHIP and WHEP, over the local edge (1 min)',
  async run(progress): Promise<Table> {
    await using vestibule = await startVestibule();
    await using _publisher = await PublisherProcess.start(`${vestibule.url}/api/whip/publish/live`, QUIET);
    const client = new KeepAliveClient();
    const rows: string[][] = [];
    for (const [name, path, offer] of [
      ['WHIP', '/api/whip/publish/bench', readOffer('chromium-publish')],
      ['WHEP', '/api/whep/play/live', readOffer('chromium-view')],
    ] as const) {
      await measure(client, `${vestibule.url}${path}`, offer, WARM_UP_REQUESTS);
      const p50: number[] = [];
      const p99: number[] = [];
      for (let run = 0; run < RUNS; run++) {
        const times = await measure(client, `${vestibule.url}${path}`, offer, REQUESTS);
        p50.push(quantile(times, 0.5));
        p99.push(quantile(times, 0.99));
        progress(`${name} run ${run + 1}: p50 ${p50.at(-1)?.toFixed(2)} ms, p99 ${p99.at(-1)?.toFixed(2)} ms`);
      }
      rows.push([name, spread(p50, 2), spread(p99, 2)]);
    }
    client.close();
    return {
      title: 'POST offer → 201 answer, local edge, warm',
      headers: ['', 'p50 ms', 'p99 ms'],
      rows,
      notes: [
        `${RUNS} runs of ${REQUESTS} sequential requests on one kept-alive connection, after ${WARM_UP_REQUESTS} to warm up; ` +
          'median (least–greatest) of the runs. A DELETE follows each POST, outside the measured time.',
        'The offers are those of Chromium. The path is client → workerd → Durable Objects → WebSocket → media node and back.',
      ],
    };
  },
};
