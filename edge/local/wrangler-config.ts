/**
 * wrangler.toml is the only place where bindings are declared. This reads what the embedded edge needs of it and says no
 * to what it would silently leave out.
 */
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { V4WorkerOptions } from 'miniflare';
import { parse } from 'smol-toml';
import { z } from 'zod';

type WorkerOptions = Exclude<V4WorkerOptions, { script: string }>;

const wranglerSchema = z.strictObject({
  name: z.string(),
  main: z.string(),
  compatibility_date: z.string(),
  compatibility_flags: z.array(z.string()).default([]),
  vars: z.record(z.string(), z.union([z.string(), z.number(), z.boolean()])).default({}),
  assets: z.strictObject({
    directory: z.string(),
    binding: z.string(),
    html_handling: z.enum(['auto-trailing-slash', 'force-trailing-slash', 'drop-trailing-slash', 'none']).optional(),
    not_found_handling: z.enum(['none', '404-page', 'single-page-application']).optional(),
    // Requests come to the worker first and only: it asks the binding for what it does not answer itself.
    run_worker_first: z.literal(true),
  }),
  durable_objects: z
    .strictObject({ bindings: z.array(z.strictObject({ name: z.string(), class_name: z.string() })) })
    .default({ bindings: [] }),
  migrations: z
    .array(z.strictObject({ tag: z.string(), new_sqlite_classes: z.array(z.string()).default([]) }))
    .default([]),
  r2_buckets: z
    .array(z.strictObject({ binding: z.string(), bucket_name: z.string(), preview_bucket_name: z.string().optional() }))
    .default([]),
  ratelimits: z
    .array(
      z.strictObject({
        name: z.string(),
        namespace_id: z.string(),
        simple: z.strictObject({ limit: z.int().positive(), period: z.union([z.literal(10), z.literal(60)]) }),
      }),
    )
    .default([]),
  version_metadata: z.strictObject({ binding: z.string() }).optional(),
  // Matter to `wrangler deploy` only.
  build: z.unknown().optional(),
  observability: z.unknown().optional(),
  placement: z.unknown().optional(),
  limits: z.unknown().optional(),
  routes: z.unknown().optional(),
  workers_dev: z.unknown().optional(),
  preview_urls: z.unknown().optional(),
  upload_source_maps: z.unknown().optional(),
});

/** The worker's default handler under a name of its own, which is what a socket needs to lead there and nowhere else. */
export const DIRECT_ENTRYPOINT = 'direct';
const ENTRY = `
import worker from './worker.js';
export * from './worker.js';
export default worker;
export const ${DIRECT_ENTRYPOINT} = { fetch: (request, env, ctx) => worker.fetch(request, env, ctx) };
`;

export type WranglerConfig = z.infer<typeof wranglerSchema>;

/** Throws an error that names the key which the embedded edge does not know. */
export function readWranglerConfig(root: string): WranglerConfig {
  const parsed = wranglerSchema.safeParse(parse(readFileSync(join(root, 'wrangler.toml'), 'utf8')));
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => `  ${issue.path.join('.')}: ${issue.message}`);
  throw new Error(`wrangler.toml says something that the embedded edge does not understand:\n${problems.join('\n')}`);
}

/** The same worker in miniflare's words. `script` is the bundled worker, `variables` win over `[vars]`. */
export function workerOptions(
  root: string,
  config: WranglerConfig,
  script: string,
  variables: Readonly<Record<string, string>>,
): WorkerOptions {
  const sqliteClasses = new Set(config.migrations.flatMap((migration) => migration.new_sqlite_classes));
  return {
    name: config.name,
    rootPath: root,
    compatibilityDate: config.compatibility_date,
    compatibilityFlags: config.compatibility_flags,
    modules: [
      { type: 'ESModule', path: 'entry.js', contents: ENTRY },
      { type: 'ESModule', path: 'worker.js', contents: script },
    ],
    bindings: { ...config.vars, ...variables },
    durableObjects: Object.fromEntries(
      config.durable_objects.bindings.map(({ name, class_name }) => [
        name,
        { className: class_name, useSQLite: sqliteClasses.has(class_name) },
      ]),
    ),
    r2Buckets: Object.fromEntries(config.r2_buckets.map((bucket) => [bucket.binding, bucket.bucket_name])),
    ratelimits: Object.fromEntries(
      config.ratelimits.map(({ name, namespace_id, simple }) => [name, { namespace_id, simple }]),
    ),
    assets: assetsOptions(root, config.assets),
  };
}

type AssetsConfig = WranglerConfig['assets'];

function assetsOptions(root: string, assets: AssetsConfig): NonNullable<WorkerOptions['assets']> {
  return {
    directory: resolve(root, assets.directory),
    binding: assets.binding,
    run_worker_first: assets.run_worker_first,
    routerConfig: { has_user_worker: true },
    assetConfig: {
      ...(assets.html_handling === undefined ? {} : { html_handling: assets.html_handling }),
      ...(assets.not_found_handling === undefined ? {} : { not_found_handling: assets.not_found_handling }),
    },
  };
}
