/** `npm run load -- publish URL` and `npm run load -- play URL -n N`: see `--help`. */
import { HELP, type LoadRequest, readArguments, UsageError } from './arguments.ts';
import { cpuSeconds } from './mark.ts';
import { runPlay } from './play.ts';
import { printPlay } from './play-summary.ts';
import { printPublish, runPublish } from './publish.ts';

const NOTHING_CONNECTED = 1;
const WRONG_COMMAND = 2;
const INTERRUPTED = 130;
/** Ctrl-C comes twice under npm: from the terminal, and from npm. */
const SAME_KEY_PRESS_MS = 500;

async function run(request: LoadRequest): Promise<number> {
  if (request.command === 'help') {
    console.log(HELP);
    return 0;
  }
  if (request.pid !== undefined && cpuSeconds(request.pid) === null) {
    throw new UsageError(`--pid ${request.pid}: there is no such process here`);
  }
  const stop = new AbortController();
  let stoppedMs = Number.POSITIVE_INFINITY;
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, () => {
      const nowMs = performance.now();
      // Who asks twice does not want to wait for DELETEs.
      if (nowMs - stoppedMs > SAME_KEY_PRESS_MS) process.exit(INTERRUPTED);
      if (stop.signal.aborted) return;
      stoppedMs = nowMs;
      stop.abort();
    });
  }
  if (request.command === 'publish') {
    const summary = await runPublish(request, stop.signal);
    print(request.json ? JSON.stringify(summary) : printPublish(summary));
    return summary.connected > 0 ? 0 : NOTHING_CONNECTED;
  }
  const summary = await runPlay(request, stop.signal);
  print(request.json ? JSON.stringify(summary) : printPlay(summary, request.processes));
  return summary.connected > 0 ? 0 : NOTHING_CONNECTED;
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}

try {
  // Sockets of joins that were given up would keep the process.
  const exitCode = await run(readArguments(process.argv.slice(2)));
  process.stdout.write('', () => process.exit(exitCode));
} catch (error) {
  if (!(error instanceof UsageError)) {
    console.error(error instanceof Error ? error.message : error);
    process.exit(NOTHING_CONNECTED);
  }
  console.error(`${error.message}\n\n--help tells more.`);
  process.exit(WRONG_COMMAND);
}
