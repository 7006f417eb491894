/**
 * What the worker is given: bindings (wrangler.toml declares them) and settings as plain strings.
 *
 * The settings are parsed once per `env` object and every mistake is named at once, so that an operator does not mend
 * them one restart at a time. Durable Objects read the same settings through the same function.
 */
import { z } from 'zod';
import type { RoomName } from '../shared/ids.ts';
import type { AudienceRpc } from './audience/rpc.ts';
import {
  choice,
  endpointUrl,
  flag,
  headerName,
  jwksUrl,
  list,
  number,
  optionalSecret,
  optionalText,
  origins,
  publicUrl,
  requiredText,
  roomTokens,
} from './env-fields.ts';
import type { FleetRpc } from './fleet/rpc.ts';
import type { LobbyRpc } from './lobby/rpc.ts';
import type { NodeLinkRpc } from './node-link/rpc.ts';
import type { Bucket } from './records/bucket.ts';
import type { RecordsRpc } from './records/rpc.ts';
import type { S3Settings } from './records/s3-store.ts';
import type { SpaceRpc } from './space/rpc.ts';
import type { StreamLobbyRpc } from './stream-lobby/rpc.ts';

/**
 * A Durable Object namespace as this project uses it. Written out because the generic stub types of the platform lose
 * generic methods (`NodeLinkRpc.request`) and unions on the way.
 */
export interface ObjectNamespace<Rpc> {
  getByName(name: string): Rpc & { fetch(request: Request): Promise<Response> };
}

/** A binding that came from a `vars` table may be a number or boolean; from the launcher it is a string. */
type Setting = string | number | boolean | undefined;

export interface Env {
  LOBBY: ObjectNamespace<LobbyRpc>;
  /** By lobby and shard (`audience/shard.ts`). */
  AUDIENCE: ObjectNamespace<AudienceRpc>;
  NODE_LINK: ObjectNamespace<NodeLinkRpc>;
  FLEET: ObjectNamespace<FleetRpc>;
  /** By the space's name. */
  SPACE: ObjectNamespace<SpaceRpc>;
  /** By `streamLobbyId`. */
  STREAM_LOBBY: ObjectNamespace<StreamLobbyRpc>;
  RECORDS: ObjectNamespace<RecordsRpc>;
  /** Where recordings go when no S3 store is configured; a deployment may have none. */
  RECORDINGS?: Bucket;
  ASSETS: { fetch(request: Request): Promise<Response> };

  ALLOWED_ORIGIN?: Setting;
  PUBLIC_URL?: Setting;
  AUTH_TOKEN?: Setting;
  ROOM_TOKENS?: Setting;
  ADMIN_TOKEN?: Setting;
  JWT_SECRET?: Setting;
  JWT_AUDIENCE?: Setting;
  JWKS_URL?: Setting;
  REGISTER_TOKEN?: Setting;
  SESSION_SECRET?: Setting;
  NODE_TOKEN?: Setting;
  STUN_URLS?: Setting;
  TURN_URLS?: Setting;
  TURN_USERNAME?: Setting;
  TURN_PASSWORD?: Setting;
  MAX_SUBS_PER_ROOM?: Setting;
  RATE_LIMIT_RPS?: Setting;
  RATE_LIMIT_BURST?: Setting;
  CLIENT_IP_HEADER?: Setting;
  CLIENT_PLACE_HEADER?: Setting;
  /** Set by the launcher: what Cloudflare would say about a client is anybody's word here. */
  EMBEDDED?: Setting;
  PUBLISHER_GRACE_MS?: Setting;
  MEMBER_GRACE_MS?: Setting;
  LIVE_ALLOWED_HOSTS?: Setting;
  STRICT_PRECONDITIONS?: Setting;
  RECORD_ENABLED?: Setting;
  RECORD_FORMAT?: Setting;
  RECORD_RETENTION_DAYS?: Setting;
  UPLOAD_RECORDINGS?: Setting;
  S3_ENDPOINT?: Setting;
  S3_REGION?: Setting;
  S3_BUCKET?: Setting;
  S3_ACCESS_KEY?: Setting;
  S3_SECRET_KEY?: Setting;
  S3_PREFIX?: Setting;
  S3_PATH_STYLE?: Setting;
}

/** The one `Fleet` object: `env.FLEET.getByName(FLEET_NAME)`. */
export const FLEET_NAME = 'fleet';
/** The one `Records` object: `env.RECORDS.getByName(RECORDS_NAME)`. */
export const RECORDS_NAME = 'records';

/** `SESSION_SECRET` keys the MAC of session URLs, `JWT_SECRET` that of tokens: both can be attacked offline, so they have to be long. */
const MIN_SESSION_SECRET_CHARS = 16;
const DEFAULT_PUBLISHER_GRACE_MS = 15_000;
const DEFAULT_MEMBER_GRACE_MS = 15_000;
const MAX_GRACE_MS = 3_600_000;
const MAX_RETENTION_DAYS = 36_500;

export interface Settings {
  /** `*`, or the origins that may read responses, each as a browser writes it in `Origin`. */
  allowedOrigins: '*' | readonly string[];
  publicUrl: string | null;
  authToken: string | null;
  roomTokens: ReadonlyMap<RoomName, string>;
  adminToken: string | null;
  jwtSecret: string | null;
  jwtAudience: string | null;
  /** Where the public keys of tokens minted elsewhere are. */
  jwksUrl: string | null;
  /** What the back end of an application shows to have tokens made for its users; null: nobody can. */
  registerToken: string | null;
  sessionSecret: string;
  nodeToken: string;
  stunUrls: readonly string[];
  turnUrls: readonly string[];
  turnUsername: string | null;
  turnPassword: string | null;
  /** 0: no limit. */
  maxSubsPerRoom: number;
  /** Requests per second and client address; 0: no limit. */
  rateLimitRps: number;
  rateLimitBurst: number;
  /** The header in which a trusted proxy names the client's address; null: Cloudflare says it, or nobody does. */
  clientIpHeader: string | null;
  /** The header in which a trusted proxy says where the client is, `latitude,longitude`; null: likewise. */
  clientPlaceHeader: string | null;
  /** Not on Cloudflare, but in a runtime of our own. */
  embedded: boolean;
  publisherGraceMs: number;
  /** How long a member of a stream lobby may be silent before its session ends. */
  memberGraceMs: number;
  /** Hosts (lower case) that may be pushed to even though they are private; when there are any, only those. */
  liveAllowedHosts: readonly string[];
  /** Missing `If-Match` is refused (RFC 9725 §4.3.1) instead of read as "the current one". */
  strictPreconditions: boolean;
  /** Every room is recorded that is not told otherwise. */
  recordEnabled: boolean;
  recordFormat: 'mp4' | 'webm' | 'raw';
  /** Finished recordings are deleted after so many days; 0: never. */
  recordRetentionDays: number;
  /** False: recordings stay on the media nodes. */
  uploadRecordings: boolean;
  /** Null: the bucket that is bound to the worker takes the recordings. */
  s3: S3Settings | null;
}

/** The settings do not make sense. `problems` names variables and is for the log, never for a client. */
export class MisconfiguredError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`misconfigured: ${problems.join('; ')}`);
    this.name = 'MisconfiguredError';
    this.problems = problems;
  }
}

const settingsSchema = z.object({
  ALLOWED_ORIGIN: origins,
  PUBLIC_URL: publicUrl,
  AUTH_TOKEN: optionalText,
  ROOM_TOKENS: roomTokens,
  ADMIN_TOKEN: optionalText,
  JWT_SECRET: optionalSecret(MIN_SESSION_SECRET_CHARS),
  JWT_AUDIENCE: optionalText,
  JWKS_URL: jwksUrl,
  REGISTER_TOKEN: optionalText,
  SESSION_SECRET: requiredText({ minChars: MIN_SESSION_SECRET_CHARS }),
  NODE_TOKEN: requiredText({ minChars: 1, pattern: /^[\x21-\x7e]+$/, expected: 'printable ASCII without blanks' }),
  STUN_URLS: list(/^stuns?:[^\s<>"]+$/, 'a stun: URL'),
  TURN_URLS: list(/^turns?:[^\s<>"]+$/, 'a turn: or turns: URL'),
  TURN_USERNAME: optionalText,
  TURN_PASSWORD: optionalText,
  MAX_SUBS_PER_ROOM: number(0, { integer: true }),
  RATE_LIMIT_RPS: number(0, { integer: false }),
  RATE_LIMIT_BURST: number(0, { integer: true }),
  CLIENT_IP_HEADER: headerName,
  CLIENT_PLACE_HEADER: headerName,
  EMBEDDED: flag(false),
  PUBLISHER_GRACE_MS: number(DEFAULT_PUBLISHER_GRACE_MS, { integer: true, max: MAX_GRACE_MS }),
  MEMBER_GRACE_MS: number(DEFAULT_MEMBER_GRACE_MS, { integer: true, max: MAX_GRACE_MS }),
  LIVE_ALLOWED_HOSTS: list(/^[A-Za-z0-9._:-]{1,253}$/, 'a host name or an address'),
  STRICT_PRECONDITIONS: flag(false),
  RECORD_ENABLED: flag(false),
  RECORD_FORMAT: choice(['mp4', 'webm', 'raw']),
  RECORD_RETENTION_DAYS: number(0, { integer: true, max: MAX_RETENTION_DAYS }),
  UPLOAD_RECORDINGS: flag(true),
  S3_ENDPOINT: endpointUrl,
  S3_REGION: optionalText,
  S3_BUCKET: optionalText,
  S3_ACCESS_KEY: optionalText,
  S3_SECRET_KEY: optionalText,
  S3_PREFIX: optionalText,
  S3_PATH_STYLE: flag(true),
});
type RawSettings = z.infer<typeof settingsSchema>;

/** The settings without which there is no S3 store. */
const S3_NEEDS = ['S3_ENDPOINT', 'S3_BUCKET', 'S3_ACCESS_KEY', 'S3_SECRET_KEY'] as const;

/** Whether a store is named in part. Asked of the bare settings, so that it is told with all that is wrong elsewhere. */
function problemsOfS3(env: Env): string[] {
  const missing = S3_NEEDS.filter((name) => !isSet(env[name]));
  if (missing.length === 0 || missing.length === S3_NEEDS.length) return [];
  return [`${missing.join(', ')} must be given, too: an S3 store needs endpoint, bucket and both keys`];
}

/** The store that the settings name; null: none. */
function s3Of(raw: RawSettings): S3Settings | null {
  const { S3_ENDPOINT, S3_BUCKET, S3_ACCESS_KEY, S3_SECRET_KEY } = raw;
  if (!S3_ENDPOINT || !S3_BUCKET || !S3_ACCESS_KEY || !S3_SECRET_KEY) return null;
  return {
    endpoint: S3_ENDPOINT,
    // What R2 and most others take.
    region: raw.S3_REGION ?? 'auto',
    bucket: S3_BUCKET,
    accessKey: S3_ACCESS_KEY,
    secretKey: S3_SECRET_KEY,
    prefix: raw.S3_PREFIX ?? '',
    pathStyle: raw.S3_PATH_STYLE,
  };
}

function isSet(setting: Setting): boolean {
  return setting !== undefined && String(setting).trim() !== '';
}

const parsed = new WeakMap<object, Settings>();

/**
 * The settings in `env`.
 * @throws MisconfiguredError naming every variable that is wrong, not only the first.
 */
export function readSettings(env: Env): Settings {
  const known = parsed.get(env);
  if (known !== undefined) return known;
  const result = settingsSchema.safeParse(env);
  const problems = (result.error?.issues ?? []).map((issue) => `${issue.path.join('.')} ${issue.message}`);
  if (isSet(env.TURN_USERNAME) !== isSet(env.TURN_PASSWORD)) {
    problems.push('TURN_USERNAME and TURN_PASSWORD must be given together');
  }
  problems.push(...problemsOfS3(env));
  if (!result.success || problems.length > 0) throw new MisconfiguredError(problems);
  const raw = result.data;
  const settings: Settings = {
    allowedOrigins: raw.ALLOWED_ORIGIN,
    publicUrl: raw.PUBLIC_URL ?? null,
    authToken: raw.AUTH_TOKEN ?? null,
    roomTokens: raw.ROOM_TOKENS,
    adminToken: raw.ADMIN_TOKEN ?? null,
    jwtSecret: raw.JWT_SECRET ?? null,
    jwtAudience: raw.JWT_AUDIENCE ?? null,
    jwksUrl: raw.JWKS_URL ?? null,
    registerToken: raw.REGISTER_TOKEN ?? null,
    sessionSecret: raw.SESSION_SECRET,
    nodeToken: raw.NODE_TOKEN,
    stunUrls: raw.STUN_URLS,
    turnUrls: raw.TURN_URLS,
    turnUsername: raw.TURN_USERNAME ?? null,
    turnPassword: raw.TURN_PASSWORD ?? null,
    maxSubsPerRoom: raw.MAX_SUBS_PER_ROOM,
    rateLimitRps: raw.RATE_LIMIT_RPS,
    // A bucket that holds less than one token would refuse everything.
    rateLimitBurst: Math.max(1, raw.RATE_LIMIT_BURST === 0 ? Math.ceil(raw.RATE_LIMIT_RPS) : raw.RATE_LIMIT_BURST),
    clientIpHeader: raw.CLIENT_IP_HEADER ?? null,
    clientPlaceHeader: raw.CLIENT_PLACE_HEADER ?? null,
    embedded: raw.EMBEDDED,
    publisherGraceMs: raw.PUBLISHER_GRACE_MS,
    memberGraceMs: raw.MEMBER_GRACE_MS,
    liveAllowedHosts: raw.LIVE_ALLOWED_HOSTS.map((host) => host.toLowerCase()),
    strictPreconditions: raw.STRICT_PRECONDITIONS,
    recordEnabled: raw.RECORD_ENABLED,
    recordFormat: raw.RECORD_FORMAT,
    recordRetentionDays: raw.RECORD_RETENTION_DAYS,
    uploadRecordings: raw.UPLOAD_RECORDINGS,
    s3: s3Of(raw),
  };
  parsed.set(env, settings);
  return settings;
}
