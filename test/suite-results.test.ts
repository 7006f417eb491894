/** The end of `npm test`: what the reporter keeps, of a real run as well, and what is said of it. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, onTestFinished, test } from 'vitest';
import { failureLines, failuresOf, readSuiteResults } from '../.scripts/suite-results.ts';

const ROOT = fileURLToPath(new URL('..', import.meta.url));
const LIMIT_MS = 80_000;

function temporary(): string {
  const directory = mkdtempSync(join(tmpdir(), 'vestibule-results-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** Vitest on files with these contents, told by our reporter. */
function run(files: Record<string, string>) {
  const directory = temporary();
  const path = join(directory, 'results.json');
  mkdirSync(join(directory, 'deep'));
  for (const [name, text] of Object.entries(files)) writeFileSync(join(directory, name), text);
  const { status } = spawnSync(
    process.execPath,
    [
      ...[join(ROOT, 'node_modules/vitest/vitest.mjs'), 'run', '--root', directory, '--globals'],
      ...['--config', 'none', '--reporter', join(ROOT, 'test/support/count-reporter.ts')],
    ],
    { cwd: directory, timeout: LIMIT_MS, env: { ...process.env, VESTIBULE_TEST_COUNTS: path } },
  );
  return { status, ...readSuiteResults(path) };
}

test('failed tests, files that do not load, hooks and errors outside of tests are named, with the place', () => {
  const { status, passed, failures, running } = run({
    none: '',
    'deep/a.test.ts': `
      test('good', () => {});
      describe('group', () => {
        test('bad', () => { expect(1, 'the sum').toBe(2); });
      });
      test('throws', () => { throw new TypeError('first line\\nsecond line'); });
      test.skip('left out', () => {});`,
    'broken.test.ts': `throw new Error('does not load');`,
    'hook.test.ts': `describe('hooked', () => { beforeAll(() => { throw new Error('no bed'); }); test('x', () => {}); });`,
    'loose.test.ts': `test('ok', async () => { Promise.reject(new Error('nobody waits')); await new Promise((r) => setTimeout(r, 50)); });`,
  });

  expect({ status, passed, running }).toEqual({ status: 1, passed: 2, running: [] });
  expect(failures.map(({ test: name }) => name).sort()).toEqual([
    'broken.test.ts',
    'deep/a.test.ts > group > bad',
    'deep/a.test.ts > throws',
    'hook.test.ts > hooked',
    'outside of any test',
  ]);
  const errorOf = (name: string) => failures.find(({ test }) => test === name)?.error ?? '';
  expect(errorOf('deep/a.test.ts > group > bad')).toMatch(/the sum: expected 1 to be 2 .*deep\/a\.test\.ts:4\)$/);
  expect(errorOf('deep/a.test.ts > throws')).toMatch(/^TypeError: first line \(/);
  expect(errorOf('broken.test.ts')).toContain('does not load');
  expect(errorOf('hook.test.ts > hooked')).toContain('no bed');
  expect(errorOf('outside of any test')).toContain('nobody waits');
});

test('a run that was cut off says what passed and which test was running', () => {
  const results = run({
    none: '',
    'a.test.ts': `
      import { readFileSync } from 'node:fs';
      test('good', () => {});
      test('ends it all', async () => {
        // What workers tell is gathered for a moment.
        while (!readFileSync(process.env.VESTIBULE_TEST_COUNTS, 'utf8').includes('ends it all')) await new Promise((r) => setTimeout(r, 5));
        process.kill(process.ppid, 'SIGKILL');
        process.exit();
      });`,
  });

  expect(results).toMatchObject({ status: null, passed: 1, failures: [], running: ['a.test.ts > ends it all'] });
  expect(failuresOf(results, 'not done after 3 minutes')).toEqual([
    { test: 'not done after 3 minutes', error: 'was running: a.test.ts > ends it all' },
  ]);
});

test('a run that ends badly is never good, and what is explained is not told twice', () => {
  const nothing = readSuiteResults(join(temporary(), 'nobody-wrote-this.json'));
  expect(nothing).toEqual({ passed: 0, failures: [], running: [] });
  expect(failuresOf(nothing, null)).toEqual([]);
  expect(failuresOf(nothing, 'vitest ended with 1')).toHaveLength(1);
  const failures = [{ test: 'a > b', error: 'no' }];
  expect(failuresOf({ passed: 0, failures, running: [] }, 'vitest ended with 1')).toEqual(failures);
});

test('half of a file is no result', () => {
  const path = join(temporary(), 'half.json');
  writeFileSync(path, '{"passed": 3, "fail');
  expect(readSuiteResults(path).passed).toBe(0);
});

test('all of it fits in the last 60 lines', () => {
  expect(failureLines([])).toEqual([]);
  const failure = { suite: 'units', test: 'a.test.ts > b', error: 'x'.repeat(10_000) };
  expect(failureLines([{ ...failure, error: 'no' }])).toEqual(['── failed', '✗ units: a.test.ts > b', '    no']);
  const many = failureLines(Array.from({ length: 500 }, () => failure));
  expect(many.length).toBeLessThan(50);
  expect(many.join('\n').length).toBeLessThan(10_000);
  expect(many.at(-1)).toBe('… and 480 more');
});
