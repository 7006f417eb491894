/** What a suite's reporter leaves behind (test/support/count-reporter.ts), and how it is told at the end of `npm test`. */
import { readFileSync } from 'node:fs';
import { z } from 'zod';

/** `test` names the file and the test, `error` is one line. */
const failureSchema = z.object({ test: z.string(), error: z.string() });
export type Failure = z.infer<typeof failureSchema>;

const suiteResultsSchema = z.object({
  passed: z.int().nonnegative(),
  failures: z.array(failureSchema),
  /** Tests that were begun and not ended: not empty when the run was cut off. */
  running: z.array(z.string()),
});
export type SuiteResults = z.infer<typeof suiteResultsSchema>;

/** Who reads the last 60 lines has to see them all, two lines each. */
const SHOWN_FAILURES = 20;
const SHOWN_RUNNING = 4;
const LONGEST_ERROR = 400;

/** Nothing passed and nothing failed when there is no such file, or when it cannot be read. */
export function readSuiteResults(path: string): SuiteResults {
  try {
    return suiteResultsSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return { passed: 0, failures: [], running: [] };
  }
}

/**
 * The failures of a suite, with one more when it ended badly and no test says why.
 * @param trouble how the run itself ended when it did not end well, null when it did
 */
export function failuresOf(results: SuiteResults, trouble: string | null): Failure[] {
  if (trouble === null) return results.failures;
  const { running } = results;
  if (running.length === 0 && results.failures.length > 0) return results.failures;
  const names = running.slice(0, SHOWN_RUNNING).join('; ');
  return [
    ...results.failures,
    { test: trouble, error: names === '' ? 'no test was running' : `was running: ${names}` },
  ];
}

/** Says what failed. Nothing at all when nothing did. */
export function failureLines(failures: readonly (Failure & { suite: string })[]): string[] {
  if (failures.length === 0) return [];
  const lines = failures
    .slice(0, SHOWN_FAILURES)
    .flatMap(({ suite, test, error }) => [
      `✗ ${suite}: ${test}`,
      `    ${error.length > LONGEST_ERROR ? `${error.slice(0, LONGEST_ERROR)} …` : error}`,
    ]);
  const hidden = failures.length - SHOWN_FAILURES;
  return ['── failed', ...lines, ...(hidden > 0 ? [`… and ${hidden} more`] : [])];
}
