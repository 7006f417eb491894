/** The worker in one module for the embedded edge, and the pages as files for both kinds of edge. */
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { build, stop } from 'esbuild';

/** Below the assets directory of wrangler.toml; pages live at `/web/…`. */
const WEB_DIRECTORY = 'web';
const PAGE_TARGET = ['es2022', 'chrome110', 'firefox115', 'safari16'];

/** Bundles the worker in memory. Throws esbuild's error, which names file and line. */
export async function bundleWorker(root: string, main: string): Promise<string> {
  const result = await build({
    entryPoints: [join(root, main)],
    absWorkingDir: root,
    bundle: true,
    format: 'esm',
    platform: 'browser',
    conditions: ['workerd', 'worker', 'browser'],
    target: 'es2024',
    external: ['cloudflare:*', 'node:*'],
    sourcemap: 'inline',
    sourcesContent: false,
    logLevel: 'silent',
    write: false,
  });
  const [file] = result.outputFiles;
  if (file === undefined) throw new Error(`esbuild made nothing of ${main}`);
  return file.text;
}

/**
 * Bundles `edge/ui/pages/*.ts` and copies `edge/ui/static/` into `assetsDirectory/web/`; returns the paths written there.
 * Files are replaced whole and only when they differ: another edge of the same checkout may be serving them right now.
 */
export async function buildWeb(root: string, assetsDirectory: string): Promise<string[]> {
  const target = join(assetsDirectory, WEB_DIRECTORY);
  const pages = join(root, 'edge/ui/pages');
  const statics = join(root, 'edge/ui/static');
  const entryPoints = (await filesBelow(pages)).filter((path) => path.endsWith('.ts') && !path.endsWith('.test.ts'));
  const files = new Map<string, Uint8Array>();
  if (entryPoints.length > 0) {
    const result = await build({
      entryPoints,
      absWorkingDir: root,
      outbase: pages,
      outdir: target,
      bundle: true,
      splitting: true,
      chunkNames: 'chunks/[name]-[hash]',
      format: 'esm',
      platform: 'browser',
      target: PAGE_TARGET,
      minify: true,
      legalComments: 'none',
      logLevel: 'silent',
      write: false,
    });
    for (const file of result.outputFiles) files.set(file.path, file.contents);
  }
  for (const path of await filesBelow(statics)) {
    files.set(resolve(target, relative(statics, path)), await readFile(path));
  }
  await mkdir(target, { recursive: true });
  for (const [path, contents] of files) await writeIfChanged(path, contents);
  for (const path of await filesBelow(target)) {
    if (!files.has(path) && !path.endsWith(DRAFT_SUFFIX)) await rm(path, { force: true });
  }
  return [...files.keys()].map((path) => relative(assetsDirectory, path)).toSorted();
}

/** Ends esbuild's process, which would otherwise stay as long as we do. It comes back with the next build. */
export async function endBundler(): Promise<void> {
  await stop();
}

const DRAFT_SUFFIX = '.draft';

async function writeIfChanged(path: string, contents: Uint8Array): Promise<void> {
  const present = await readFile(path).catch(() => null);
  if (present?.equals(contents)) return;
  await mkdir(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}${DRAFT_SUFFIX}`;
  await writeFile(draft, contents);
  await rename(draft, path);
}

/** Absolute paths; none when the directory is not there. */
async function filesBelow(directory: string): Promise<string[]> {
  const items = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return items.filter((item) => item.isFile()).map((item) => join(item.parentPath, item.name));
}
