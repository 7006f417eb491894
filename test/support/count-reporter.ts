/** A vitest reporter that writes how many tests passed and failed to the file named by VESTIBULE_TEST_COUNTS. */
import { writeFileSync } from 'node:fs';
import type { Reporter, TestModule } from 'vitest/node';

class CountReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandledErrors: readonly unknown[]): void {
    const path = process.env.VESTIBULE_TEST_COUNTS;
    if (path === undefined) return;
    const counts = { passed: 0, failed: 0 };
    for (const module of modules) {
      // A file that does not load, or a hook that fails, has errors of its own and perhaps no test.
      let explained = false;
      for (const test of module.children.allTests()) {
        const { state } = test.result();
        if (state === 'passed') counts.passed += 1;
        if (state === 'failed') {
          counts.failed += 1;
          explained = true;
        }
      }
      if (module.state() === 'failed' && !explained) counts.failed += 1;
    }
    if (unhandledErrors.length > 0 && counts.failed === 0) counts.failed = 1;
    writeFileSync(path, JSON.stringify(counts));
  }
}

// biome-ignore lint/style/noDefaultExport: vitest reads the default export.
export default CountReporter;
