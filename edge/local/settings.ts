/**
 * The settings of `npm start` and `npm run edge`: environment first, then `.env`. Everything is checked before anything
 * starts, and every problem is told at once under its variable's name. What the worker is given is checked by the
 * worker's own rules (edge/env.ts); here is what only the launcher reads.
 */
import { readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { parseEnv } from 'node:util';
import { z } from 'zod';
import { nodeIdSchema } from '../../shared/ids.ts';
import { NODE_SETTINGS } from '../../shared/node-settings.ts';
import { type Settings as EdgeSettings, type Env, MisconfiguredError, readSettings } from '../env.ts';
import { closestName } from './closest-name.ts';

const DEFAULT_PORT = 8080;
/** The media node has the same default; it is said here because the port is checked before the node is started. */
const DEFAULT_MEDIA_PORT = 8840;
const MAX_PORT = 65_535;
const MAX_REGION_CHARS = 64;
/** A key of HS256 is to have 256 bits (RFC 7518 §3.2). */
const JWT_SECRET_CHARS = 32;
const TOKEN_CHARS = 16;

const NOT_A_PORT = 'must be a port number, 0 to 65535 (0 picks a free one)';
const port = z
  .string()
  .regex(/^\d{1,5}$/, NOT_A_PORT)
  .transform(Number)
  .refine((value) => value <= MAX_PORT, NOT_A_PORT);

const wholeNumber = (least: number) =>
  z.string().refine((text) => Number.isInteger(Number(text)) && Number(text) >= least, {
    message: `must be a whole number, ${least} or more`,
  });

/**
 * What only the media node reads, by the node's own rules (media-node/config.ts). Checked here as well, so that it is told
 * with all other problems and before anything has started.
 */
const nodeChecks = {
  NODE_CAPACITY: wholeNumber(1).optional(),
  KEYFRAME_CACHE: z.enum(['0', '1', 'true', 'false'], 'must be true or false').optional(),
  KEYFRAME_CACHE_BYTES: wholeNumber(0).optional(),
  FANOUT_ENGINE: z.enum(['portable', 'native', 'auto'], 'must be portable, native or auto').optional(),
  DELETE_RECORDING_AFTER_UPLOAD: z.enum(['0', '1', 'true', 'false'], 'must be true or false').optional(),
  RECORD_MAX_BYTES: wholeNumber(1).optional(),
  NODE_STATUS_PORT: port.optional(),
  NODE_STATUS_HOST: z
    .string()
    .regex(/^[A-Za-z0-9.:-]{1,253}$/, 'must be an address or a host name')
    .optional(),
};

const launcherSchema = z.object({
  ...nodeChecks,
  HOST: z
    .string()
    .regex(/^[A-Za-z0-9.:-]{1,253}$/, 'must be an address or a host name')
    .default('127.0.0.1'),
  PORT: port.default(DEFAULT_PORT),
  NODE_ID: z
    .string()
    .refine((text) => nodeIdSchema.safeParse(text).success, 'must be 1 to 64 of A-Z a-z 0-9 _ -')
    .default('local'),
  NODE_REGION: z.string().max(MAX_REGION_CHARS, `must not be longer than ${MAX_REGION_CHARS} characters`).optional(),
  MEDIA_PORT: port.default(DEFAULT_MEDIA_PORT),
  /** How many media nodes side by side; null: one, and no supervisor. */
  NODE_WORKERS: z
    .string()
    .regex(/^(auto|[1-9]\d{0,2})$/, 'must be a number of processes, 1 to 999, or auto')
    .transform((text) => (text === 'auto' ? availableParallelism() : Number(text)))
    .nullable()
    .default(null),
  MEDIA_ADDRESSES: z
    .string()
    .transform((text) => entries(text))
    .refine(
      (list) => list.every(isMediaAddress),
      'must be a comma-separated list of IP addresses or private/public pairs',
    )
    .optional(),
  VESTIBULE_STATE: z.string().default('.vestibule'),
  VESTIBULE_READY: z.literal('json', 'can only be "json"').optional(),
});

/** What the worker gets as text bindings when it is set. */
const EDGE_VARIABLES = [
  'PUBLIC_URL',
  'ALLOWED_ORIGIN',
  'AUTH_TOKEN',
  'ROOM_TOKENS',
  'ADMIN_TOKEN',
  'JWT_SECRET',
  'JWT_AUDIENCE',
  'JWKS_URL',
  'REGISTER_TOKEN',
  'SESSION_SECRET',
  'NODE_TOKEN',
  'STUN_URLS',
  'TURN_URLS',
  'TURN_USERNAME',
  'TURN_PASSWORD',
  'MAX_SUBS_PER_ROOM',
  'RATE_LIMIT_RPS',
  'RATE_LIMIT_BURST',
  'CLIENT_IP_HEADER',
  'CLIENT_PLACE_HEADER',
  'PUBLISHER_GRACE_MS',
  'MEMBER_GRACE_MS',
  'LIVE_ALLOWED_HOSTS',
  'STRICT_PRECONDITIONS',
  'RECORD_ENABLED',
  'RECORD_FORMAT',
  'RECORD_RETENTION_DAYS',
  'UPLOAD_RECORDINGS',
  'S3_ENDPOINT',
  'S3_REGION',
  'S3_BUCKET',
  'S3_ACCESS_KEY',
  'S3_SECRET_KEY',
  'S3_PREFIX',
  'S3_PATH_STYLE',
] as const satisfies (keyof Env)[];

/** Every variable that means something to us. */
export const KNOWN_NAMES: readonly string[] = [
  ...new Set([
    ...Object.keys(launcherSchema.shape),
    ...EDGE_VARIABLES,
    // Some of them unchecked: the launcher says EDGE_URL, FFMPEG_PATH is looked for when it is needed.
    ...NODE_SETTINGS.map(({ name }) => name),
  ]),
];

/** Takes the place of a secret that is made up later; passes the worker's rules. */
const SECRET_TO_COME = 'x'.repeat(64);

export type Environment = Readonly<Record<string, string | undefined>>;

export interface Settings {
  launcher: z.infer<typeof launcherSchema>;
  /** What the worker will make of its variables. */
  edge: EdgeSettings;
  /** The variables that the worker gets, as they were given. */
  edgeVariables: Readonly<Partial<Record<(typeof EDGE_VARIABLES)[number], string>>>;
}

export interface LoadedSettings extends Settings {
  /** The environment that the settings came from: the process's own, completed by `.env`. */
  environment: Environment;
  /** About names that look like a misspelt setting. */
  warnings: string[];
}

/** Thrown with everything that is wrong, one line per variable. */
export class SettingsError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`wrong settings\n${problems.map((problem) => `  ${problem}`).join('\n')}`);
    this.name = 'SettingsError';
    this.problems = problems;
  }
}

/** Reads `.env` in `directory` below the given environment. Throws `SettingsError`. */
export function loadSettings(directory: string, environment: Environment): LoadedSettings {
  const file = readEnvFile(resolve(directory, '.env'));
  const merged: Record<string, string | undefined> = { ...file };
  for (const [name, value] of Object.entries(environment)) if (isSet(value)) merged[name] = value;
  const settings = parseSettings(merged);
  const warnings = [...misspellings(environment, file), ...weakSecrets(settings)];
  return { ...settings, environment: merged, warnings };
}

/** Throws `SettingsError`. */
export function parseSettings(environment: Environment): Settings {
  const given = Object.fromEntries(Object.entries(environment).filter(([, value]) => isSet(value)));
  const launcher = launcherSchema.safeParse(given);
  const problems = (launcher.error?.issues ?? []).map((issue) => `${issue.path.join('.')} ${issue.message}`);
  const edgeVariables: Partial<Record<(typeof EDGE_VARIABLES)[number], string>> = {};
  for (const name of EDGE_VARIABLES) {
    const value = given[name];
    if (value !== undefined) edgeVariables[name] = value;
  }
  let edge: EdgeSettings | undefined;
  try {
    const variables: Partial<Env> = { NODE_TOKEN: SECRET_TO_COME, SESSION_SECRET: SECRET_TO_COME, ...edgeVariables };
    edge = readSettings(variables as Env);
  } catch (error) {
    if (!(error instanceof MisconfiguredError)) throw error;
    problems.push(...error.problems);
  }
  if (!launcher.success || edge === undefined) throw new SettingsError([...new Set(problems)]);
  return { launcher: launcher.data, edge, edgeVariables };
}

/** Local half of each `MEDIA_ADDRESSES` entry; null when the node chooses by itself. */
export function mediaBindAddresses(settings: Settings): string[] | null {
  return settings.launcher.MEDIA_ADDRESSES?.map((entry) => entry.split('/')[0]?.trim() ?? '') ?? null;
}

/** The UDP port of each media node; 0 stands for any. What is beyond the last port is the node's to complain about. */
export function mediaPorts({ launcher: { MEDIA_PORT, NODE_WORKERS } }: Settings): number[] {
  if (MEDIA_PORT === 0) return [0];
  return Array.from({ length: NODE_WORKERS ?? 1 }, (_, index) => MEDIA_PORT + index).filter(
    (value) => value <= MAX_PORT,
  );
}

/** Where secrets, the Durable Objects' databases and the record of running processes are kept: absolute path. */
export function stateDirectory(root: string, settings: Settings): string {
  return resolve(root, settings.launcher.VESTIBULE_STATE);
}

/** An empty variable is an unset one, as compose files write it. */
function isSet(value: string | undefined): value is string {
  return value !== undefined && value !== '';
}

function readEnvFile(path: string): Environment {
  try {
    const parsed = parseEnv(readFileSync(path, 'utf8'));
    return Object.fromEntries(Object.entries(parsed).filter(([, value]) => isSet(value)));
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return {};
    throw new SettingsError([`.env cannot be read: ${error instanceof Error ? error.message : String(error)}`]);
  }
}

/** In `.env` every unknown name is worth a word; in the environment only one that nearly is ours. */
function misspellings(environment: Environment, file: Environment): string[] {
  const warnings: string[] = [];
  for (const name of new Set([...Object.keys(file), ...Object.keys(environment)])) {
    if (KNOWN_NAMES.includes(name)) continue;
    const meant = closestName(name, KNOWN_NAMES);
    if (meant !== null) warnings.push(`${name} is not a setting; did you mean ${meant}?`);
    else if (name in file) warnings.push(`${name} in .env is not a setting of ours`);
  }
  return warnings;
}

/** Secrets that somebody who tries, or who has one JWT to try on, may find out. The made-up ones are long. */
function weakSecrets({ edge, edgeVariables }: Settings): string[] {
  const warnings: string[] = [];
  const { jwtSecret } = edge;
  if (jwtSecret !== null && jwtSecret.length < JWT_SECRET_CHARS) {
    warnings.push(
      `JWT_SECRET has ${jwtSecret.length} characters: who sees one JWT can try them out; take ${JWT_SECRET_CHARS} or more`,
    );
  }
  for (const name of ['NODE_TOKEN', 'ADMIN_TOKEN', 'REGISTER_TOKEN'] as const) {
    const length = edgeVariables[name]?.trim().length ?? Number.POSITIVE_INFINITY;
    if (length < TOKEN_CHARS)
      warnings.push(`${name} has ${length} characters and may be guessed; take ${TOKEN_CHARS} or more`);
  }
  return warnings;
}

function entries(text: string): string[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '');
}

function isMediaAddress(text: string): boolean {
  const parts = text.split('/').map((part) => part.trim());
  const family = isIP(parts[0] ?? '');
  return parts.length <= 2 && family !== 0 && parts.every((part) => isIP(part) === family);
}
