/**
 * `npm test`: all test suites one after another (they share the machine's cores), then what failed, then one line with the
 * sum. The same when it is told to end early.
 * Arguments go to every suite: `npm test -- sdpfrag` runs the tests whose path has `sdpfrag`.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Failure, failureLines, failuresOf, readSuiteResults } from './suite-results.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

/** In the order of how fast they tell. */
const SUITES = [
  { name: 'units', config: 'test/vitest.config.ts', limitMs: 15 * 60_000 },
  { name: 'edge in workerd', config: 'edge/vitest.config.ts', limitMs: 10 * 60_000 },
  { name: 'whole system', config: 'test/e2e/vitest.config.ts', limitMs: 20 * 60_000 },
];

const BUILD_LIMIT_MS = 5 * 60_000;
/** So long may a suite that is told to end clean up behind itself; .ci/run waits for little longer. */
const END_MS = 3_000;

const directory = mkdtempSync(join(tmpdir(), 'vestibule-test-'));
let running: { suite: (typeof SUITES)[number]; child: ChildProcess } | null = null;
let passed = 0;
const failures: (Failure & { suite: string })[] = [];

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => void endEarly(signal));
}

try {
  // Compiled once and before the clocks of the tests run; without a compiler the tests of the native engine say so.
  spawnSync(process.execPath, ['media-node/deploy/build-engine.ts'], {
    cwd: root,
    stdio: 'ignore',
    timeout: BUILD_LIMIT_MS,
  });
  for (const suite of SUITES) {
    if (!existsSync(join(root, suite.config))) continue;
    console.log(`\n── ${suite.name} (${suite.config})`);
    await run(suite);
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
tell();
process.exitCode = failures.length === 0 && passed > 0 ? 0 : 1;

async function run(suite: (typeof SUITES)[number]): Promise<void> {
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const child = spawn(
    process.execPath,
    [
      ...[vitest, 'run', '--config', suite.config, '--passWithNoTests'],
      ...['--reporter=default', '--reporter=./test/support/count-reporter.ts'],
      ...process.argv.slice(2),
    ],
    {
      cwd: root,
      env: { ...process.env, VESTIBULE_TEST_COUNTS: resultsPath(suite) },
      stdio: ['ignore', 'inherit', 'inherit'],
      // A group of its own, so that nothing of it is left when its time is up.
      detached: true,
    },
  );
  running = { suite, child };
  let trouble: string | null = null;
  const limit = setTimeout(() => {
    trouble = `not done after ${suite.limitMs / 60_000} minutes`;
    killGroup(child, 'SIGKILL');
  }, suite.limitMs);
  const exitCode = await new Promise<number | string | null>((resolve) => {
    child.once('error', (error) => resolve(error.message));
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
  clearTimeout(limit);
  running = null;
  killGroup(child, 'SIGKILL');
  // An error outside of any test, or a run that was cut off, must not look like success.
  if (exitCode !== 0) trouble ??= `vitest ended with ${exitCode}`;
  take(suite, trouble);
}

function take(suite: (typeof SUITES)[number], trouble: string | null): void {
  const results = readSuiteResults(resultsPath(suite));
  passed += results.passed;
  failures.push(...failuresOf(results, trouble).map((failure) => ({ ...failure, suite: suite.name })));
}

/** The last lines. Who reads nothing else still knows what failed. */
function tell(): void {
  console.log(['', ...failureLines(failures), `${passed} passed, ${failures.length} failed`].join('\n'));
}

async function endEarly(signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP'): Promise<void> {
  const code = 128 + constants.signals[signal];
  if (running === null) process.exit(code);
  const { suite, child } = running;
  // What is known now: what the tests say while they are being ended is no news.
  take(suite, `cut off by ${signal}`);
  child.removeAllListeners('exit');
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  killGroup(child, 'SIGTERM');
  await Promise.race([ended, new Promise((resolve) => setTimeout(resolve, END_MS))]);
  killGroup(child, 'SIGKILL');
  rmSync(directory, { recursive: true, force: true });
  tell();
  process.exit(code);
}

function resultsPath(suite: (typeof SUITES)[number]): string {
  return join(directory, `${SUITES.indexOf(suite)}.json`);
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is empty.
  }
}
