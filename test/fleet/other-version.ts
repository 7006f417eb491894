/** A copy of what runs that speaks another version of the control protocol: yesterday's build, or tomorrow's. */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PROJECT_ROOT } from '../support/line-process.ts';

const COPIED = ['edge', 'media-node', 'shared', 'package.json', 'wrangler.toml', 'tsconfig.json'];
const VERSION_LINE = /^export const CONTROL_PROTOCOL_VERSION = \d+;$/m;

export interface OtherVersion extends AsyncDisposable {
  readonly directory: string;
}

/** Everything else is as it is here. Removed by `await using`. */
export async function otherVersion(protocol: number): Promise<OtherVersion> {
  const directory = await mkdtemp(join(tmpdir(), `vestibule-protocol-${protocol}-`));
  for (const name of COPIED) await cp(join(PROJECT_ROOT, name), join(directory, name), { recursive: true });
  await symlink(join(PROJECT_ROOT, 'node_modules'), join(directory, 'node_modules'));
  const path = join(directory, 'shared/protocol/control.ts');
  const before = await readFile(path, 'utf8');
  if (!VERSION_LINE.test(before)) throw new Error('where is the version of the control protocol?');
  await writeFile(path, before.replace(VERSION_LINE, `export const CONTROL_PROTOCOL_VERSION = ${protocol};`));
  return {
    directory,
    [Symbol.asyncDispose]: () => rm(directory, { recursive: true, force: true }),
  };
}
