/**
 * A vitest reporter that keeps the file named by VESTIBULE_TEST_COUNTS up to date: how many tests passed, which failed and
 * why, and which are running. Also a run that is cut off has said that much.
 */
import { renameSync, writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node';
import type { Failure, SuiteResults } from '../../.scripts/suite-results.ts';

type ReportedError = ReturnType<TestModule['errors']>[number];

class CountReporter implements Reporter {
  #passed = 0;
  readonly #failures: Failure[] = [];
  readonly #running = new Map<string, string>();

  onTestRunStart(): void {
    this.#write();
  }

  onTestCaseReady(test: TestCase): void {
    this.#running.set(test.id, nameOf(test));
    this.#write();
  }

  onTestCaseResult(test: TestCase): void {
    this.#running.delete(test.id);
    const { state, errors } = test.result();
    if (state === 'passed') this.#passed += 1;
    if (state === 'failed') this.#fail(nameOf(test), errors?.[0]);
    this.#write();
  }

  onTestModuleEnd(module: TestModule): void {
    // A file that does not load, or a hook that fails, has errors of its own and perhaps no test.
    const before = this.#failures.length;
    for (const suite of module.children.allSuites()) {
      if (suite.errors().length > 0) this.#fail(nameOf(suite), suite.errors()[0]);
    }
    if (module.errors().length > 0) this.#fail(module.relativeModuleId, module.errors()[0]);
    const explained = this.#failures.length > before || someTestFailed(module);
    if (module.state() === 'failed' && !explained) this.#fail(module.relativeModuleId, undefined);
    this.#write();
  }

  onTestRunEnd(_modules: readonly TestModule[], unhandled: readonly ReportedError[]): void {
    for (const error of unhandled) this.#fail('outside of any test', error);
    this.#running.clear();
    this.#write();
  }

  #fail(test: string, error: ReportedError | undefined): void {
    this.#failures.push({ test, error: error === undefined ? 'no error was given' : describeError(error) });
  }

  #write(): void {
    const path = process.env.VESTIBULE_TEST_COUNTS;
    if (path === undefined) return;
    const results: SuiteResults = {
      passed: this.#passed,
      failures: this.#failures,
      running: [...this.#running.values()],
    };
    // Whoever reads it when we were killed must not find half of it.
    writeFileSync(`${path}.new`, JSON.stringify(results));
    renameSync(`${path}.new`, path);
  }
}

function someTestFailed(module: TestModule): boolean {
  for (const test of module.children.allTests('failed')) return test !== undefined;
  return false;
}

function nameOf(task: TestCase | TestSuite): string {
  return `${task.module.relativeModuleId} > ${task.fullName}`;
}

function describeError(error: ReportedError): string {
  const [line = ''] = `${error.name ?? 'Error'}: ${error.message}`.split('\n');
  const frames = error.stacks ?? [];
  const frame = frames.find(({ file }) => file.endsWith('.test.ts')) ?? frames[0];
  return frame === undefined ? line : `${line} (${relative(process.cwd(), frame.file)}:${frame.line})`;
}

// biome-ignore lint/style/noDefaultExport: vitest reads the default export.
export default CountReporter;
