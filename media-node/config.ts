/** The media node's settings, from the environment. All problems are reported at once, by variable name. */
import { hostname } from 'node:os';
import { z } from 'zod';
import { nodeIdSchema } from '../shared/ids.ts';
import { announcedAddresses, parseMediaAddresses } from './addresses.ts';
import { ENGINE_CHOICES } from './forward/open-engine.ts';

/** RFC 8840 gives the default port its number; it is below the ephemeral range, so no outgoing socket takes it by chance. */
const DEFAULT_MEDIA_PORT = 8840;

const flag = z.enum(['0', '1', 'true', 'false']).transform((text) => text === '1' || text === 'true');

const settingsSchema = z.object({
  EDGE_URL: z.url({ protocol: /^(https?|wss?)$/ }),
  NODE_TOKEN: z.string().min(1, 'is required: the same secret as the edge has'),
  NODE_ID: nodeIdSchema.default(() => nodeIdSchema.parse(hostNameId())),
  NODE_REGION: z.string().max(64).default('local'),
  /** Sessions (publishers and viewers) that this node takes. */
  NODE_CAPACITY: z.coerce.number().int().positive().default(5_000),
  MEDIA_PORT: z.coerce.number().int().min(0).max(65_535).default(DEFAULT_MEDIA_PORT),
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
  KEYFRAME_CACHE_BYTES: z.coerce
    .number()
    .int()
    .min(0)
    .default(8 * 1024 * 1024),
  /** What sends packets to viewers. */
  FANOUT_ENGINE: z.enum(ENGINE_CHOICES).default('portable'),
  /** Servers that live streams may be pushed to, comma-separated; empty: any public one. */
  LIVE_ALLOWED_HOSTS: z
    .string()
    .default('')
    .transform((text) =>
      text
        .split(',')
        .map((host) => host.trim())
        .filter((host) => host !== ''),
    ),
  /** For going live; the `ffmpeg` on PATH when it is not set. */
  FFMPEG_PATH: z.string().nullable().default(null),
});

export type NodeSettings = z.infer<typeof settingsSchema>;

/** Throws an error whose message lists every wrong variable, one per line. */
export function readNodeSettings(env: Record<string, string | undefined>): NodeSettings {
  // An empty variable is an unset one: `.env` files and compose files write them so.
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = settingsSchema.safeParse(given);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => {
    const name = issue.path.join('.');
    const missing = given[name] === undefined;
    return `  ${name}: ${missing ? 'is required' : issue.message}`;
  });
  throw new Error(`Wrong settings:\n${lines.join('\n')}`);
}

function hostNameId(): string {
  const id = hostname()
    .replace(/[^A-Za-z0-9_-]/g, '-')
    .slice(0, 64);
  return id === '' ? 'node' : id;
}
