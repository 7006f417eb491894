/** `npm run node -- --check`: would a node with these settings work on this machine? */
import { type NodeSettings, NodeSettingsError, readNodeSettings } from '../config.ts';
import type { Environment } from '../environment.ts';
import { planWorkers, workerCount } from '../supervise/worker-plan.ts';
import { checkEdge } from './edge-check.ts';
import { describeFinding, type Finding } from './finding.ts';
import { hostAndPort } from './host-and-port.ts';
import { checkMachine } from './machine-check.ts';
import { checkUdp, judgeAnnounced } from './udp-check.ts';

const MS = 1_000;

export interface CheckWishes {
  /** For a datagram from another machine; 0: not. */
  waitSeconds: number;
  /** `host:port`; null: none is asked. */
  stun: string | null;
}

/**
 * Prints one line per finding.
 * @returns false when something failed
 */
export async function runCheck(
  environment: Environment,
  wishes: CheckWishes,
  print: (line: string) => void,
): Promise<boolean> {
  let failed = 0;
  const tell = (finding: Finding): void => {
    if (finding.outcome === 'failed') failed += 1;
    print(describeFinding(finding));
  };
  const read = readSettings(environment);
  if ('problems' in read) {
    for (const detail of read.problems) tell({ outcome: 'failed', subject: 'settings', detail });
  } else {
    const { settings, ports } = read;
    const stun = wishes.stun === null ? null : hostAndPort(wishes.stun);
    tell({ outcome: 'ok', subject: 'settings', detail: `node ${settings.NODE_ID}, edge ${settings.EDGE_URL}` });
    for (const finding of await checkMachine(settings, ports.length, print)) tell(finding);
    const edge = await checkEdge({ edgeUrl: settings.EDGE_URL, token: settings.NODE_TOKEN, now: Date.now });
    for (const finding of edge.findings) tell(finding);
    tell(judgeAnnounced(settings.MEDIA_ADDRESSES, edge.edgeAddresses, edge.seenAs));
    const { MEDIA_ADDRESSES: addresses } = settings;
    const waitMs = wishes.waitSeconds * MS;
    for (const finding of await checkUdp({ addresses, ports, stun, waitMs, onWait: print })) tell(finding);
    if (waitMs === 0) {
      print('Not tested: whether the firewall lets UDP in from elsewhere. For that: --check --wait 60');
    }
  }
  print(failed === 0 ? 'Nothing stands in the way.' : `${failed} thing${failed === 1 ? '' : 's'} to mend.`);
  return failed === 0;
}

function readSettings(
  environment: Environment,
): { settings: NodeSettings; ports: number[] } | { problems: readonly string[] } {
  try {
    const settings = readNodeSettings(environment);
    const count = settings.NODE_WORKERS === null ? 1 : workerCount(settings.NODE_WORKERS);
    const plans = settings.NODE_WORKERS === null ? null : planWorkers(settings, count);
    return {
      settings,
      ports: plans?.map(({ environment: { MEDIA_PORT } }) => Number(MEDIA_PORT)) ?? [settings.MEDIA_PORT],
    };
  } catch (error) {
    if (error instanceof NodeSettingsError) return { problems: error.problems };
    throw error;
  }
}
