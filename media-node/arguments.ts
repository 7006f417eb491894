/** What stands behind `npm run node --`. */
import { parseArgs } from 'node:util';
import { describeSettings, NODE_SETTINGS } from '../shared/node-settings.ts';

export type NodeCommand =
  | { name: 'help' }
  | { name: 'run'; workers: string | null }
  /** Look whether it would work; `waitSeconds` for a datagram from elsewhere. */
  | { name: 'check'; workers: string | null; waitSeconds: number; stun: string | null }
  /** Ask a `check` on another machine whether datagrams arrive there. */
  | { name: 'probe'; target: string };

const MAX_WAIT_SECONDS = 3_600;

export const NODE_HELP = `A media node: carries the packets, and does what the edge says.

  npm run node                       run it
  npm run node -- --workers N|auto   run N of them side by side (auto: one per core), each with a UDP port of its own
  npm run node -- --check            would it work here? Tests the way to the edge and the UDP port
      --wait SECONDS                 and waits that long for a datagram from another machine (see --probe)
      --stun HOST:PORT               and asks this STUN server under which address the port is seen from outside
  npm run node -- --probe HOST:PORT  on any other machine: sends datagrams to a node that is being checked with --wait

Settings, from the environment or from .env, with what they are when they are not set:

${describeSettings(NODE_SETTINGS)}
`;

/** @throws Error in words when the arguments are not ours */
export function parseNodeArguments(args: readonly string[]): NodeCommand {
  const { values } = parseArgs({
    args: [...args],
    options: {
      help: { type: 'boolean', short: 'h' },
      workers: { type: 'string' },
      check: { type: 'boolean' },
      wait: { type: 'string' },
      stun: { type: 'string' },
      probe: { type: 'string' },
    },
  });
  if (values.help === true) return { name: 'help' };
  if (values.probe !== undefined) return { name: 'probe', target: values.probe };
  const workers = values.workers ?? null;
  if (values.check !== true) {
    if (values.wait !== undefined || values.stun !== undefined) throw new Error('--wait and --stun go with --check');
    return { name: 'run', workers };
  }
  const wait = values.wait ?? '0';
  if (!/^\d{1,4}$/.test(wait) || Number(wait) > MAX_WAIT_SECONDS) {
    throw new Error(`--wait takes a number of seconds, at most ${MAX_WAIT_SECONDS}`);
  }
  return { name: 'check', workers, waitSeconds: Number(wait), stun: values.stun ?? null };
}
