/**
 * `npm run bench [-- name…]`: measures a whole system that it starts itself, and prints Markdown. Nothing is asserted:
 * the numbers are for people, on this machine, on this day.
 */
import { parseArgs } from 'node:util';
import {
  type Bench,
  type BenchOptions,
  ENGINES,
  machineLine,
  PROTECTIONS,
  type Protection,
  printTable,
  RUNS,
  type Table,
} from './bench.ts';
import { delayBench } from './delay-bench.ts';
import { floorBench } from './floor-bench.ts';
import { forwardBench } from './forward-bench.ts';
import { glassBench } from './glass-bench.ts';
import { httpBench } from './http-bench.ts';
import { joinBench } from './join-bench.ts';
import { joinsBench } from './joins-bench.ts';
import { livekitBench } from './livekit-bench.ts';
import { recordBench } from './record-bench.ts';
import { rtcpBench } from './rtcp-bench.ts';
import { scaleBench } from './scale-bench.ts';
import { soakBench } from './soak-bench.ts';
import { starveBench } from './starve-bench.ts';

const BENCHES: readonly Bench[] = [
  httpBench,
  joinBench,
  glassBench,
  floorBench,
  forwardBench,
  scaleBench,
  rtcpBench,
  joinsBench,
  delayBench,
  recordBench,
  livekitBench,
  starveBench,
  soakBench,
];
const WRONG_COMMAND = 2;

const HELP = `npm run bench [-- name…] [options]

${BENCHES.map(({ name, about }) => `  ${name.padEnd(10)} ${about}`).join('\n')}

  --engine E     portable, native or both (both)
  --viewers A,B  in place of the bench's own numbers of viewers
  --seconds S    of a window, or of the soak
  --runs N       repetitions of which the median is told (${RUNS})
  --srtp S       how viewers of forward are protected: gcm or cm (gcm)
  --json         one JSON object instead of Markdown`;

function refuse(message: string): never {
  console.error(`${message}\n\n${HELP}`);
  process.exit(WRONG_COMMAND);
}

function positive(name: string, text: string): number {
  const value = Number(text);
  return value > 0 ? value : refuse(`--${name} ${text}: a number above 0`);
}

function read() {
  try {
    return parseArgs({
      allowPositionals: true,
      options: {
        engine: { type: 'string' },
        viewers: { type: 'string' },
        seconds: { type: 'string' },
        runs: { type: 'string' },
        srtp: { type: 'string' },
        json: { type: 'boolean' },
        help: { type: 'boolean', short: 'h' },
      },
    });
  } catch (error) {
    return refuse(error instanceof Error ? error.message : String(error));
  }
}

const { values, positionals: names } = read();
if (values.help === true) {
  console.log(HELP);
  process.exit();
}
const unknown = names.filter((name) => !BENCHES.some((bench) => bench.name === name));
if (unknown.length > 0) refuse(`Unknown: ${unknown.join(', ')}.`);
const engines = ENGINES.filter((engine) => ['both', engine, undefined].includes(values.engine));
if (engines.length === 0) refuse(`--engine ${values.engine}: portable, native or both`);
const srtp = Object.keys(PROTECTIONS).find((name): name is Protection => name === (values.srtp ?? 'gcm'));
if (srtp === undefined) refuse(`--srtp ${values.srtp}: gcm or cm`);
const options: BenchOptions = {
  engines,
  viewers: values.viewers?.split(',').map((text) => positive('viewers', text)) ?? null,
  windowS: values.seconds === undefined ? null : positive('seconds', values.seconds),
  runs: values.runs === undefined ? RUNS : positive('runs', values.runs),
  srtp,
};

const machine = machineLine();
const tables: ({ name: string } & Table)[] = [];
if (values.json !== true) console.log(`Machine: ${machine}\n`);
for (const bench of BENCHES) {
  if (names.length > 0 && !names.includes(bench.name)) continue;
  try {
    const table = await bench.run((message) => console.error(`[${bench.name}] ${message}`), options);
    if (table === null) continue;
    tables.push({ name: bench.name, ...table });
    if (values.json !== true) console.log(printTable(table));
  } catch (error) {
    console.error(`[${bench.name}] failed:`, error);
    process.exitCode = 1;
  }
}
if (values.json === true) console.log(JSON.stringify({ machine, atIso: new Date().toISOString(), tables }));
