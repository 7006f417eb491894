import { join } from 'node:path';
import { build } from 'esbuild';
import { PROJECT_ROOT } from './line-process.ts';

/**
 * A module and all that it imports as one classic script, for pages that serve no modules.
 * @param entryPoint from the project's root
 */
export async function browserScript(entryPoint: string): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(PROJECT_ROOT, entryPoint)],
    absWorkingDir: PROJECT_ROOT,
    bundle: true,
    format: 'iife',
    platform: 'browser',
    target: 'es2024',
    write: false,
    logLevel: 'silent',
  });
  return outputFiles[0]?.text ?? '';
}
