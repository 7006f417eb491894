/** Where a node's settings come from: the environment, and below it a `.env` file beside the README. */
import { readFileSync } from 'node:fs';
import { parseEnv } from 'node:util';

export type Environment = Readonly<Record<string, string | undefined>>;

const ENV_FILE = new URL('../.env', import.meta.url);

/**
 * `environment`, completed by the file. Nothing is said when there is no file.
 * @throws Error in words when there is one that cannot be read
 */
export function completedEnvironment(environment: Environment, file: URL = ENV_FILE): Environment {
  const completed: Record<string, string | undefined> = { ...environment };
  for (const [name, value] of Object.entries(readEnvFile(file))) {
    if (completed[name] === undefined || completed[name] === '') completed[name] = value;
  }
  return completed;
}

function readEnvFile(file: URL): NodeJS.Dict<string> {
  try {
    return parseEnv(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw new Error(`.env cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}
