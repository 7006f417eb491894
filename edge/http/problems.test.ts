/** The list of problems in the README and the sources say the same. */
import { globSync, readFileSync } from 'node:fs';
import { describe, expect, test, vi } from 'vitest';
import { ProblemError } from '../../shared/errors.ts';
import { problemResponse, toProblemError } from '../middleware/problem.ts';

const ROOT = new URL('../..', import.meta.url).pathname;
/** The three ways in which a problem is written down. */
const WRITTEN = [
  /new ProblemError\(\s*(?<status>\d{3}),\s*'(?<code>\w+)'/g,
  /status: (?<status>\d{3}),\s*code: '(?<code>\w+)'/g,
  /unacceptable\(\s*'(?<code>\w+)'/g,
];
/** Of `unacceptable` in `shared/sdp/offer-rules.ts`. */
const UNACCEPTABLE = '422';
/** Made of another problem, not written down (`PATCH P/whep`). */
const MADE = ['409 no_offer_pending'];

function inSources(): Set<string> {
  const files = globSync('{edge,shared,media-node}/**/*.ts', { cwd: ROOT }).filter(
    (file) => !/\.test\.ts$|\.contract\.ts$|under-test|test-support|^edge\/ui\//.test(file),
  );
  const found = new Set(MADE);
  for (const file of files) {
    const text = readFileSync(`${ROOT}/${file}`, 'utf8');
    for (const pattern of WRITTEN) {
      for (const { groups } of text.matchAll(pattern)) found.add(`${groups?.status ?? UNACCEPTABLE} ${groups?.code}`);
    }
  }
  return found;
}

const rows = [...readFileSync(`${ROOT}/edge/http/README.md`, 'utf8').matchAll(/^\| *(\d{3}) *\| *`(\w+)` *\|/gm)];
const listed = rows.map(([, status, code]) => `${status} ${code}`);

test('every problem is listed once, in order, and nothing else is', () => {
  const written = inSources();
  expect(written.size).toBeGreaterThan(80);
  expect(listed).toEqual([...written].sort());
});

describe('every problem', () => {
  test.each([...new Set(rows.map(([, status]) => Number(status)))])('%i has a title of its own', async (status) => {
    const response = problemResponse(new ProblemError(status, 'any', 'any'));
    const { title } = (await response.json()) as { title: string };
    expect(title === 'Bad Request').toBe(status === 400);
    expect(title === 'Internal Server Error').toBe(status === 500);
  });

  test('that nobody foresaw tells nothing of what happened', () => {
    const log = vi.spyOn(console, 'error').mockImplementation(() => undefined);

    const problem = toProblemError(new Error('password=hunter2'));

    expect(problem).toMatchObject({ status: 500, code: 'internal' });
    expect(problem.detail).not.toContain('hunter2');
    expect(log).toHaveBeenCalledOnce();
    log.mockRestore();
  });
});
