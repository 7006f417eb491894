/**
 * `npm run bench [-- name…]`: measures a whole system that it starts itself, and prints Markdown. Nothing is asserted:
 * the numbers are for people, on this machine, on this day.
 */
import { type Bench, machineLine, printTable } from './bench.ts';
import { forwardBench } from './forward-bench.ts';
import { glassBench } from './glass-bench.ts';
import { httpBench } from './http-bench.ts';
import { joinBench } from './join-bench.ts';
import { joinCostBench } from './join-cost-bench.ts';

const BENCHES: readonly Bench[] = [httpBench, joinBench, glassBench, joinCostBench, forwardBench];

const names = process.argv.slice(2);
const unknown = names.filter((name) => !BENCHES.some((bench) => bench.name === name));
if (unknown.length > 0) {
  console.error(`Unknown: ${unknown.join(', ')}. There are: ${BENCHES.map(({ name }) => name).join(', ')}`);
  process.exit(2);
}

console.log(`Machine: ${machineLine()}\n`);
for (const bench of BENCHES) {
  if (names.length > 0 && !names.includes(bench.name)) continue;
  try {
    console.log(printTable(await bench.run((message) => console.error(`[${bench.name}] ${message}`))));
  } catch (error) {
    console.error(`[${bench.name}] failed:`, error);
    process.exitCode = 1;
  }
}
