/**
 * `npm run node`: a media node, several of them, or a look whether one would work here. `--help` says what there is.
 * Settings come from the environment and `.env`; all that is wrong with them is told at once, with exit code 1.
 */
import { NODE_HELP, type NodeCommand, parseNodeArguments } from './arguments.ts';
import { readNodeSettings } from './config.ts';
import { completedEnvironment } from './environment.ts';

async function main(command: NodeCommand): Promise<void> {
  if (command.name === 'help') {
    process.stdout.write(NODE_HELP);
    return;
  }
  // Loaded when it is their turn: a supervisor needs nothing of what a node consists of.
  if (command.name === 'probe') {
    const { probe } = await import('./check/probe.ts');
    process.exitCode = (await probe(command.target, (line) => console.log(line))) ? 0 : 1;
    return;
  }
  const environment = completedEnvironment({
    ...process.env,
    ...(command.workers === null ? {} : { NODE_WORKERS: command.workers }),
  });
  if (command.name === 'check') {
    const { runCheck } = await import('./check/run-check.ts');
    process.exitCode = (await runCheck(environment, command, (line) => console.log(line))) ? 0 : 1;
    return;
  }
  const settings = readNodeSettings(environment);
  if (settings.NODE_WORKERS === null) {
    const { runNode } = await import('./run-node.ts');
    await runNode(settings);
  } else {
    const { runSupervisor } = await import('./supervise/run-supervisor.ts');
    const { workerCount } = await import('./supervise/worker-plan.ts');
    await runSupervisor(settings, environment, workerCount(settings.NODE_WORKERS));
  }
}

/** What went wrong, in words; where, only when it should not have been possible. */
function complain(error: unknown): void {
  const unexpected = [TypeError, RangeError, ReferenceError].some(
    (kind) => error instanceof kind && !('code' in error),
  );
  if (!(error instanceof Error)) console.error(`Error: ${String(error)}`);
  else console.error(unexpected ? error.stack : `Error: ${error.message}`);
  process.exit(1);
}

try {
  await main(parseNodeArguments(process.argv.slice(2)));
} catch (error) {
  complain(error);
}
