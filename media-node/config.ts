/** The media node's settings, from the environment. All problems are reported at once, by variable name. */
import { hostname } from 'node:os';
import { z } from 'zod';
import { nodeIdSchema } from '../shared/ids.ts';
import { type Coordinates, coordinatesSchema } from '../shared/protocol/control.ts';
import { announcedAddresses, parseMediaAddresses } from './addresses.ts';
import { ENGINE_CHOICES } from './forward/open-engine.ts';

/** RFC 8840 gives the default port its number; it is below the ephemeral range, so no outgoing socket takes it by chance. */
const DEFAULT_MEDIA_PORT = 8840;
const DEFAULT_CAPACITY = 5_000;
const DEFAULT_CACHE_BYTES = 8 * 1024 * 1024;
const DEFAULT_DRAIN_MS = 30_000;
/** What fits into the parts of one upload, with room for the last segment. */
const MAX_RECORD_BYTES = 150 * 1024 ** 3;
const MAX_PORT = 65_535;
const MAX_REGION_CHARS = 64;

const NOT_A_FLAG = 'must be true or false';
const flag = z.enum(['0', '1', 'true', 'false'], NOT_A_FLAG).transform((text) => text === '1' || text === 'true');

function wholeNumber(least: number, message = `must be a whole number, ${least} or more`) {
  return z
    .string()
    .regex(/^\d{1,15}$/, message)
    .transform(Number)
    .refine((value) => value >= least, message);
}

function port(least: number, message: string) {
  return wholeNumber(least, message).refine((value) => value <= MAX_PORT, message);
}

const COORDINATES = /^\s*(-?\d{1,2}(?:\.\d{1,9})?)\s*,\s*(-?\d{1,3}(?:\.\d{1,9})?)\s*$/;

function readCoordinates(text: string): Coordinates | null {
  const [, latitude, longitude] = COORDINATES.exec(text) ?? [];
  return coordinatesSchema.safeParse({ latitude: Number(latitude), longitude: Number(longitude) }).data ?? null;
}

const list = z
  .string()
  .default('')
  .transform((text) =>
    text
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== ''),
  );

const settingsSchema = z.object({
  EDGE_URL: z.url({
    protocol: /^(https?|wss?)$/,
    error: ({ input }) =>
      input === undefined
        ? 'is required: where the edge is, such as https://vestibule.example.workers.dev'
        : `must be an http:// or https:// URL, such as https://vestibule.example.workers.dev, and not "${input}"`,
  }),
  NODE_TOKEN: z.string('is required: the same secret that the edge has').regex(/^[\x21-\x7e]+$/, {
    error: 'must be printable ASCII without blanks, as at the edge',
  }),
  NODE_ID: z
    .string()
    .refine((text) => nodeIdSchema.safeParse(text).success, 'must be 1 to 64 of A-Z a-z 0-9 _ -')
    .default(hostNameId)
    .transform((text) => nodeIdSchema.parse(text)),
  NODE_REGION: z
    .string()
    .max(MAX_REGION_CHARS, `must not be longer than ${MAX_REGION_CHARS} characters`)
    .default('local'),
  /** Degrees north and east; null: by the region's name, when it is a known one. */
  NODE_COORDINATES: z
    .string()
    .transform((text, context) => {
      const coordinates = readCoordinates(text);
      if (coordinates !== null) return coordinates;
      context.addIssue({ code: 'custom', message: 'must be degrees north and east, such as 48.86,2.35' });
      return z.NEVER;
    })
    .nullable()
    .default(null),
  /** Sessions (publishers and viewers) that this node takes. */
  NODE_CAPACITY: wholeNumber(1).default(DEFAULT_CAPACITY),
  /** What the machine can send, for the edge to place by; null: not known. */
  NODE_PACKETS_PER_SECOND: wholeNumber(1).nullable().default(null),
  NODE_BANDWIDTH_BPS: wholeNumber(1).nullable().default(null),
  /** From SIGTERM on clients have this long to move; 0: none. */
  DRAIN_TIMEOUT_MS: wholeNumber(0).default(DEFAULT_DRAIN_MS),
  MEDIA_PORT: port(0, 'must be a port number, 0 to 65535 (0 picks a free one)').default(DEFAULT_MEDIA_PORT),
  MEDIA_ADDRESSES: z
    .string()
    .default('')
    .transform((text, context) => {
      try {
        return text.trim() === '' ? announcedAddresses() : parseMediaAddresses(text);
      } catch (error) {
        context.addIssue({ code: 'custom', message: error instanceof Error ? error.message : String(error) });
        return z.NEVER;
      }
    }),
  /** New viewers start from the packets since the last keyframe. */
  KEYFRAME_CACHE: flag.default(true),
  /** Upper bound of that cache per video layer. */
  KEYFRAME_CACHE_BYTES: wholeNumber(0).default(DEFAULT_CACHE_BYTES),
  /** What sends packets to viewers; `auto`: the native engine where it can be built and passes its test. */
  FANOUT_ENGINE: z.enum(ENGINE_CHOICES, `must be one of ${ENGINE_CHOICES.join(', ')}`).default('auto'),
  /** Servers that live streams may be pushed to, comma-separated; empty: any public one. */
  LIVE_ALLOWED_HOSTS: list,
  /** For going live; the `ffmpeg` on PATH when it is not set. */
  FFMPEG_PATH: z.string().nullable().default(null),
  /** Where recordings lie until they are uploaded: in a folder with the name of the node. */
  RECORD_DIR: z.string().min(1).default('.vestibule/recordings'),
  /** The local file goes when the store has confirmed that it has it. */
  DELETE_RECORDING_AFTER_UPLOAD: flag.default(false),
  /** A recording that grows beyond this goes on in another file. */
  RECORD_MAX_BYTES: wholeNumber(1)
    .default(MAX_RECORD_BYTES)
    .refine((bytes) => bytes <= MAX_RECORD_BYTES, `must not be more than ${MAX_RECORD_BYTES}`),
  /** Where `/healthz`, `/readyz` and `/metrics` are; null: nowhere. */
  NODE_STATUS_PORT: port(0, 'must be a port number, 0 to 65535 (0 picks a free one)').nullable().default(null),
  NODE_STATUS_HOST: z
    .string()
    .regex(/^[A-Za-z0-9.:-]{1,253}$/, 'must be an address or a host name')
    .default('127.0.0.1'),
  /** Processes under a supervisor; null: this process is the node. */
  NODE_WORKERS: z
    .string()
    .regex(/^(auto|[1-9]\d{0,2})$/, 'must be a number of processes, 1 to 999, or auto')
    .nullable()
    .default(null),
});

export type NodeSettings = z.infer<typeof settingsSchema>;

/** Every variable that means something to a node. */
export const NODE_SETTING_NAMES: readonly string[] = Object.keys(settingsSchema.shape);

/** Everything that is wrong with the settings, one line per variable. */
export class NodeSettingsError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(
      `wrong settings\n${problems.map((problem) => `  ${problem}`).join('\n')}\n(npm run node -- --help lists all)`,
    );
    this.name = 'NodeSettingsError';
    this.problems = problems;
  }
}

/** @throws NodeSettingsError that lists every wrong variable */
export function readNodeSettings(env: Readonly<Record<string, string | undefined>>): NodeSettings {
  // An empty variable is an unset one: `.env` files and compose files write them so.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = settingsSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  // The first problem of a variable says it; what follows from it would only repeat it.
  const first = new Map<string, string>();
  for (const { path, message } of parsed.error.issues) {
    const name = path.join('.');
    if (!first.has(name)) first.set(name, `${name} ${message}`);
  }
  throw new NodeSettingsError([...first.values()]);
}

function hostNameId(): string {
  const id = hostname()
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .slice(0, 64);
  return id === '' ? 'node' : id;
}
