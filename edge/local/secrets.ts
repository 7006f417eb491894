/** Secrets that a first start makes up and keeps, so that one command is enough and session URLs outlive a restart. */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { randomBase32 } from '../../shared/ids.ts';

const SECRET_BYTES = 32;
const OWNER_ONLY = 0o600;

const secretsSchema = z.object({ NODE_TOKEN: z.string().min(1), SESSION_SECRET: z.string().min(1) });
export type Secrets = z.infer<typeof secretsSchema>;

export const SECRETS_FILE = 'secrets.json';

/**
 * The kept secrets, made on the first call. Throws when the file is there but not readable as what it should be:
 * silently replacing it would cut off every node and session that knows the old ones.
 */
export function keptSecrets(stateDirectory: string): Secrets {
  const path = join(stateDirectory, SECRETS_FILE);
  const text = readIfThere(path);
  if (text !== null) {
    const parsed = secretsSchema.safeParse(parseJson(text));
    if (!parsed.success) throw new Error(`${path} is damaged; delete it to have new secrets made`);
    chmodSync(path, OWNER_ONLY);
    return parsed.data;
  }
  const secrets: Secrets = { NODE_TOKEN: randomBase32(SECRET_BYTES), SESSION_SECRET: randomBase32(SECRET_BYTES) };
  mkdirSync(stateDirectory, { recursive: true });
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(secrets, null, 2)}\n`, { mode: OWNER_ONLY });
  renameSync(draft, path);
  return secrets;
}

function readIfThere(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null;
    throw error;
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
