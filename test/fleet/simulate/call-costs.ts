/**
 * What calls between Durable Objects cost in workerd, in processor time of the whole process: the numbers of `COST_US`.
 * By hand, on Linux: `node test/fleet/simulate/call-costs.ts`. Repeat it; the lowest numbers are the true ones.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { convertV4MiniflareOptions, Miniflare } from 'miniflare';

const CLOCK_TICK_US = 10_000;
const AT_ONCE = 16;
const NODES = 1_000;

const SCRIPT = `
import { DurableObject } from 'cloudflare:workers';
const node = (index) => ({ node: 'node-' + index, boot: 't6a34jm4tui4nubh2r2ng6y33m', linked: true, region: 'eu-central-1',
  coordinates: { latitude: 50.1, longitude: 8.7 }, version: '0.1.0', protocol: 2, engine: 'native', addresses: [],
  capacity: { sessions: 5000 }, draining: false, seenAt: 1795252749167,
  load: { sessions: 1200, packetsPerSecond: 224400, cpu: 0.4, bytesOutPerSecond: 210000000 } });
const NODES = Array.from({ length: ${NODES} }, (_, index) => node(index));
const TEXT = JSON.stringify(NODES);
export class Callee extends DurableObject {
  async small() { return { ok: true, value: { node: 'a', boot: 'b', seats: 3 } }; }
  async play() { return { ok: true, value: { sdp: 'v=0'.repeat(900), etag: '"x"', node: 'a' } }; }
  async nodeUpdated() {}
  async snapshotAsText() { return { takenAt: 1, nodes: TEXT }; }
  async snapshotAsObjects() { return { takenAt: 1, nodes: NODES }; }
}
export class Caller extends DurableObject {
  async run(method, calls) {
    const callee = this.env.CALLEE.getByName('callee');
    const input = method === 'play' ? { lobby: 'room:x', session: 's', offer: 'v=0'.repeat(1000) } : { snapshot: node(1), lobbies: [] };
    let left = calls;
    const ask = async () => { while (left-- > 0) await callee[method](input); };
    await Promise.all(Array.from({ length: ${AT_ONCE} }, ask));
  }
}
export default {
  async fetch(request, env) {
    const { searchParams } = new URL(request.url);
    await env.CALLER.getByName('caller').run(searchParams.get('method'), Number(searchParams.get('calls')));
    return new Response('done');
  },
};`;

const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    port: 0,
    cf: false,
    compatibilityDate: '2026-11-01',
    modules: true,
    script: SCRIPT,
    durableObjects: {
      CALLEE: { className: 'Callee', useSQLite: true },
      CALLER: { className: 'Caller', useSQLite: true },
    },
    telemetry: { enabled: false },
  }),
);
const url = await miniflare.ready;
const runtime = readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && isOurRuntime(pid));
if (runtime === undefined) throw new Error('the workerd process was not found');

for (const [method, calls] of [
  ['small', 4_000],
  ['play', 4_000],
  ['nodeUpdated', 4_000],
  ['snapshotAsText', 500],
  ['snapshotAsObjects', 300],
] as const) {
  await run(method, calls / 4);
  const before = processorUs(runtime);
  await run(method, calls);
  console.log(`${method.padEnd(20)} ${((processorUs(runtime) - before) / calls).toFixed(0)} µs`);
}
await miniflare.dispose();

async function run(method: string, calls: number): Promise<void> {
  await (await fetch(new URL(`?method=${method}&calls=${calls}`, url))).text();
}

/** The fields of /proc/[pid]/stat behind the name, which may hold blanks. */
function statOf(pid: string): string[] {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  return [
    stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')),
    ...stat.slice(stat.lastIndexOf(')') + 2).split(' '),
  ];
}

function isOurRuntime(pid: string): boolean {
  try {
    const [name, , parent] = statOf(pid);
    return name === 'workerd' && parent === String(process.pid);
  } catch {
    return false;
  }
}

function processorUs(pid: string): number {
  const stat = statOf(pid);
  return (Number(stat[12]) + Number(stat[13])) * CLOCK_TICK_US;
}
