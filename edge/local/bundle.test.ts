import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { buildWeb, bundleWorker } from './bundle.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'vestibule-bundle-'));
  for (const directory of ['edge/ui/pages', 'edge/ui/static/img'])
    mkdirSync(join(root, directory), { recursive: true });
});
afterEach(() => rmSync(root, { recursive: true }));

test('pages are bundled, static files copied, and what is gone is removed', async () => {
  const assets = join(root, 'assets');
  writeFileSync(join(root, 'edge/ui/pages/player.ts'), 'const answer: number = 42; console.log(answer);');
  writeFileSync(join(root, 'edge/ui/pages/player.test.ts'), 'never bundled');
  writeFileSync(join(root, 'edge/ui/static/player.html'), '<script type="module" src="player.js"></script>');
  writeFileSync(join(root, 'edge/ui/static/img/dot.svg'), '<svg/>');
  mkdirSync(join(assets, 'web'), { recursive: true });
  writeFileSync(join(assets, 'web/old.js'), 'gone');
  expect(await buildWeb(root, assets)).toEqual(['web/img/dot.svg', 'web/player.html', 'web/player.js']);
  expect(readFileSync(join(assets, 'web/player.js'), 'utf8')).toContain('console.log(42)');
  expect(existsSync(join(assets, 'web/old.js'))).toBe(false);
});

test('an unchanged file is not touched: it may be being served', async () => {
  writeFileSync(join(root, 'edge/ui/static/index.html'), 'one');
  await buildWeb(root, join(root, 'assets'));
  const { ino } = statSync(join(root, 'assets/web/index.html'));
  await buildWeb(root, join(root, 'assets'));
  expect(statSync(join(root, 'assets/web/index.html')).ino).toBe(ino);
  writeFileSync(join(root, 'edge/ui/static/index.html'), 'two');
  await buildWeb(root, join(root, 'assets'));
  expect(readFileSync(join(root, 'assets/web/index.html'), 'utf8')).toBe('two');
});

test('a worker that does not build is an error with file and line', async () => {
  writeFileSync(join(root, 'worker.ts'), "\nimport { nothing } from './missing.ts';\nconsole.log(nothing);\n");
  await expect(bundleWorker(root, 'worker.ts')).rejects.toThrow(/worker\.ts:2:/);
});
