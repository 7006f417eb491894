/** Secrets that a first start makes up and keeps, so that one command is enough and session URLs outlive a restart. */
import { chmodSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { randomBase32 } from '../../shared/ids.ts';

const SECRET_BYTES = 32;
const OWNER_ONLY = 0o600;

const secret = z.string().min(1);
const secretsSchema = z.object({
  NODE_TOKEN: secret,
  SESSION_SECRET: secret,
  // Made later than the others when the file is older than they are.
  ADMIN_TOKEN: secret.default(makeSecret),
  REGISTER_TOKEN: secret.default(makeSecret),
});
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
    const kept = JSON.stringify(parsed.data, null, 2);
    if (kept !== text.trim()) writeSecrets(path, kept);
    return parsed.data;
  }
  const secrets = secretsSchema.parse({ NODE_TOKEN: makeSecret(), SESSION_SECRET: makeSecret() });
  mkdirSync(stateDirectory, { recursive: true });
  writeSecrets(path, JSON.stringify(secrets, null, 2));
  return secrets;
}

function makeSecret(): string {
  return randomBase32(SECRET_BYTES);
}

/** Whole or not at all. */
function writeSecrets(path: string, text: string): void {
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, `${text}\n`, { mode: OWNER_ONLY });
  renameSync(draft, path);
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
