/** The media nodes, for operators. */
import { z } from 'zod';
import { ProblemError, unwrap } from '../../shared/errors.ts';
import { type NodeId, nodeIdSchema } from '../../shared/ids.ts';
import { FLEET_NAME } from '../env.ts';
import { requireAdmin } from '../middleware/auth.ts';
import type { App, AppContext } from '../middleware/context.ts';
import { JSON_TYPE, readOptionalJson } from './json-body.ts';
import { NO_STORE, route } from './methods.ts';

/** Sessions that do not move by themselves end after this long, unless the operator says otherwise. */
const DEFAULT_DRAIN_TIMEOUT_MS = 30_000;
/** A day: whoever wants to wait longer wants no timeout but another plan. */
const MAX_DRAIN_TIMEOUT_MS = 86_400_000;

export const drainSchema = z
  .strictObject({ timeoutMs: z.int().min(0).max(MAX_DRAIN_TIMEOUT_MS).default(DEFAULT_DRAIN_TIMEOUT_MS) })
  .meta({ examples: [{ timeoutMs: DEFAULT_DRAIN_TIMEOUT_MS }] });

export function nodeRoutes(app: App): void {
  route(app, '/api/admin/nodes', {
    GET: async (c) => {
      await requireAdmin(c);
      return c.json(await c.env.FLEET.getByName(FLEET_NAME).nodes(), 200, NO_STORE);
    },
  });

  route(app, '/api/admin/nodes/:node/drain', {
    POST: async (c) => {
      await requireAdmin(c);
      const { timeoutMs } = await readOptionalJson(c, drainSchema);
      const outcome = await c.env.FLEET.getByName(FLEET_NAME).drain({ node: nodeInPath(c), timeoutMs });
      return c.json(unwrap(outcome), 202, NO_STORE);
    },
    acceptPost: JSON_TYPE,
  });
}

/** @throws ProblemError 404 `no_node`: a name that no node can have is the name of none. */
function nodeInPath(c: AppContext): NodeId {
  const node = nodeIdSchema.safeParse(c.req.param('node'));
  if (!node.success) throw new ProblemError(404, 'no_node', 'no such media node');
  return node.data;
}
