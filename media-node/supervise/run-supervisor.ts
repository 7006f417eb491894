/**
 * Several media nodes on one machine under one process: it starts them, passes their logs on, starts a dead one again,
 * and ends them all. It carries nothing itself. A worker that loses its supervisor ends by itself. One that was drained
 * stays away until SIGUSR2, and when all of them were, the supervisor ends.
 *
 * Standard output is as a single node's (`ready` when all are, `linked` when the edge has welcomed all), and
 * `{"event":"worker",…}` when one was replaced.
 */
import { fileURLToPath } from 'node:url';
import { announce, type NodeEvent } from '../announce.ts';
import type { NodeSettings } from '../config.ts';
import type { Environment } from '../environment.ts';
import { ProcessEnd } from '../process-end.ts';
import type { NodeStatus } from '../status/node-status.ts';
import { StatusServer } from '../status/status-server.ts';
import { planWorkers, type WorkerPlan } from './worker-plan.ts';
import { WorkerProcess, type WorkerReady } from './worker-process.ts';

const NODE_PROGRAM = fileURLToPath(new URL('../main.ts', import.meta.url));
/** A worker's own orderly end, after its drain, is bounded (run-node.ts); this is a little more. */
const STOP_GRACE_MS = 6_000;

/**
 * Resolves when all workers are ready; they then live until a signal ends the process.
 * @throws Error when one of them does not start; the others are ended
 */
export async function runSupervisor(settings: NodeSettings, environment: Environment, count: number): Promise<void> {
  const plans = planWorkers(settings, count);
  const log = (line: string): void => void process.stderr.write(`${line}\n`);
  const tell = (event: NodeEvent): void => announce(event, (message) => log(`[node ${settings.NODE_ID}] ${message}`));
  const workers: WorkerProcess[] = [];
  const linked = new Set<string>();
  let announced = false;
  /** Workers that were drained and are gone; the supervisor ends with the last. */
  let left = 0;
  let statusServer: StatusServer | null = null;

  const start = (plan: WorkerPlan): WorkerProcess => {
    const worker: WorkerProcess = new WorkerProcess({
      node: plan.node,
      script: NODE_PROGRAM,
      environment: { ...environment, ...plan.environment },
      log,
      onReady: ({ node, addresses }) => {
        if (announced) tell({ event: 'worker', node, addresses, pid: worker.pid });
      },
      onLinked: () => {
        const wereAll = linked.size === count;
        linked.add(plan.node);
        if (announced && !wereAll && linked.size === count) tell({ event: 'linked' });
      },
      onLeft: () => {
        left += 1;
        if (left === count) end.begin('drained');
      },
    });
    workers.push(worker);
    return worker;
  };
  const stopAll = async (): Promise<void> => {
    await Promise.all(workers.map((worker) => worker.stop(settings.DRAIN_TIMEOUT_MS + STOP_GRACE_MS)));
    await statusServer?.close();
  };
  const end = new ProcessEnd({
    close: stopAll,
    force: () => {
      for (const worker of workers) worker.kill();
    },
    log,
    deadlineMs: null,
  });

  // From the beginning, for it would end a process that does not expect it. Not SIGHUP: that is what a terminal says when
  // it is closed.
  process.on('SIGUSR2', () => {
    for (const worker of workers) if (!end.begun && worker.comeBack()) left -= 1;
  });

  const ready: WorkerReady[] = [];
  try {
    if (settings.NODE_STATUS_PORT !== null) {
      statusServer = await StatusServer.open(settings.NODE_STATUS_HOST, settings.NODE_STATUS_PORT, {
        statuses: async () => present(await Promise.all(workers.map((worker) => worker.status()))),
        get expected() {
          return count - left;
        },
      });
    }
    // The first one alone: it finds out what is wrong for all, and builds what all of them load.
    for (const batch of [plans.slice(0, 1), plans.slice(1)]) {
      if (end.begun) return;
      ready.push(...(await Promise.all(batch.map((plan) => start(plan).ready))));
    }
  } catch (error) {
    if (end.begun) return;
    await stopAll();
    throw error;
  }
  if (end.begun) return;
  const [first] = ready;
  tell({
    event: 'ready',
    node: settings.NODE_ID,
    addresses: ready.flatMap(({ addresses }) => addresses),
    engine: first?.engine ?? '',
    version: first?.version ?? '',
    ...(statusServer === null ? {} : { status: statusServer.address }),
    workers: ready.map(({ node, addresses }, index) => ({ node, addresses, pid: workers[index]?.pid })),
  });
  announced = true;
  if (linked.size === count) tell({ event: 'linked' });
}

function present(statuses: readonly (NodeStatus | null)[]): NodeStatus[] {
  return statuses.filter((status) => status !== null);
}
