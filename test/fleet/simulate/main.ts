/** `npm run simulate`: an evening of the fleet in numbers. `npm run simulate -- --help` says what can be chosen. */
import { parseArgs } from 'node:util';
import { Evening, type EveningOptions } from './evening.ts';
import { joinStorm } from './storm.ts';
import { tableOf } from './table.ts';

const WRONG_COMMAND = 2;
const STORM_SECONDS = 60;

const HELP = `npm run simulate -- [options]

An evening of a fleet, and a join storm on one room, by the edge's own placement and relay code. Without options it takes 1 to 2 minutes.

  --seed N        the same number, the same evening             (1)
  --nodes N       media nodes                                   (1000)
  --locations N   places where viewers live                     (200)
  --viewers N     viewers that come during the evening          (1000000)
  --hours N       how long the evening is                       (3)
  --rooms N       rooms; half of all viewers watch the first    (200)
  --deaths N      share of the nodes that die                   (0.02)
  --drains N      share of the nodes that are drained           (0.1)
  --joins N       viewers per second of the join storm          (1000)
  --json          the results as JSON, without times
`;

interface Request extends EveningOptions {
  joins: number;
  json: boolean;
  help: boolean;
}

/** @throws Error that says in one line which option is wrong, and why */
function readArguments(): Request {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      nodes: { type: 'string', default: '1000' },
      locations: { type: 'string', default: '200' },
      viewers: { type: 'string', default: '1000000' },
      hours: { type: 'string', default: '3' },
      rooms: { type: 'string', default: '200' },
      deaths: { type: 'string', default: '0.02' },
      drains: { type: 'string', default: '0.1' },
      joins: { type: 'string', default: '1000' },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  const number = (name: keyof EveningOptions | 'joins', least: number): number => {
    const value = Number(values[name]);
    if (!Number.isFinite(value) || value < least) throw new Error(`--${name} must be a number, ${least} or more`);
    return value;
  };
  return {
    seed: number('seed', 0),
    nodes: number('nodes', 1),
    locations: number('locations', 1),
    viewers: number('viewers', 1),
    hours: number('hours', 0.1),
    rooms: number('rooms', 1),
    deaths: number('deaths', 0),
    drains: number('drains', 0),
    joins: number('joins', 1),
    json: values.json,
    help: values.help,
  };
}

function simulate({ joins, json, help: _, ...options }: Request): string {
  const startedAt = performance.now();
  // A table that comes after a minute of silence looks like a program that hangs.
  if (!json) process.stderr.write('Simulating …\n');
  const evening = new Evening(options).run();
  const storm = joinStorm({ seed: options.seed, nodes: options.nodes, joinsPerSecond: joins, seconds: STORM_SECONDS });
  const tookMs = performance.now() - startedAt;
  return json
    ? `${JSON.stringify({ options, evening, storm }, null, 2)}\n`
    : tableOf({ options, evening, storm, tookMs });
}

let request: Request | null = null;
try {
  request = readArguments();
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : error}\n\n${HELP}`);
  process.exitCode = WRONG_COMMAND;
}
if (request !== null) process.stdout.write(request.help ? HELP : simulate(request));
