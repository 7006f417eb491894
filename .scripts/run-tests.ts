/**
 * `npm test`: all test suites one after another (they share the machine's cores), then one line with the sum.
 * Arguments go to every suite: `npm test -- sdpfrag` runs the tests whose path has `sdpfrag`.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { z } from 'zod';

const root = fileURLToPath(new URL('..', import.meta.url));

/** In the order of how fast they tell. */
const SUITES = [
  { name: 'units', config: 'test/vitest.config.ts', limitMs: 15 * 60_000 },
  { name: 'edge in workerd', config: 'edge/vitest.config.ts', limitMs: 10 * 60_000 },
  { name: 'whole system', config: 'test/e2e/vitest.config.ts', limitMs: 20 * 60_000 },
];

const countsSchema = z.object({ passed: z.int().nonnegative(), failed: z.int().nonnegative() });
type Counts = z.infer<typeof countsSchema>;

const BUILD_LIMIT_MS = 5 * 60_000;

const directory = mkdtempSync(join(tmpdir(), 'vestibule-test-'));
let running: ReturnType<typeof spawn> | null = null;
const sum: Counts = { passed: 0, failed: 0 };

for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    if (running !== null) killGroup(running, 'SIGTERM');
    process.exit(128 + (constants.signals[signal] ?? 0));
  });
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
    const counts = await run(suite);
    sum.passed += counts.passed;
    sum.failed += counts.failed;
  }
} finally {
  rmSync(directory, { recursive: true, force: true });
}
console.log(`\n${sum.passed} passed, ${sum.failed} failed`);
process.exitCode = sum.failed === 0 && sum.passed > 0 ? 0 : 1;

async function run(suite: (typeof SUITES)[number]): Promise<Counts> {
  const countsFile = join(directory, `${SUITES.indexOf(suite)}.json`);
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
      env: { ...process.env, VESTIBULE_TEST_COUNTS: countsFile },
      stdio: ['ignore', 'inherit', 'inherit'],
      // A group of its own, so that nothing of it is left when its time is up.
      detached: true,
    },
  );
  running = child;
  const limit = setTimeout(() => {
    console.error(`${suite.name}: not done after ${suite.limitMs / 60_000} minutes`);
    killGroup(child, 'SIGKILL');
  }, suite.limitMs);
  const exitCode = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      console.error(error.message);
      resolve(null);
    });
    child.once('exit', resolve);
  });
  clearTimeout(limit);
  running = null;
  killGroup(child, 'SIGKILL');
  const counts = readCounts(countsFile);
  // An error outside of any test, or a run that was cut off, must not look like success.
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1;
  return counts;
}

function readCounts(path: string): Counts {
  try {
    return countsSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return { passed: 0, failed: 0 };
  }
}

function killGroup(child: ReturnType<typeof spawn>, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is empty.
  }
}
