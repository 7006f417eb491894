/**
 * `GET /node/link`: where media nodes dial in. Not for browsers: a page cannot set these header fields on a WebSocket, and
 * no CORS header invites it to try.
 */
import { ProblemError } from '../../shared/errors.ts';
import { nodeIdSchema } from '../../shared/ids.ts';
import { secretsEqual } from '../auth/constant-time.ts';
import { type AppContext, settingsOf } from '../middleware/context.ts';

export const NODE_LINK_PATH = '/node/link';

/** @throws ProblemError 405, 401, 400 `invalid_node`, 426 */
export async function answerNode(c: AppContext): Promise<Response> {
  const request = c.req.raw;
  if (request.method !== 'GET') {
    throw new ProblemError(405, 'method_not_allowed', `${request.method} is not allowed here`, {
      headers: { Allow: 'GET' },
    });
  }
  const token = /^bearer +(\S+)$/i.exec(c.req.header('Authorization')?.trim() ?? '')?.[1] ?? '';
  if (!(await secretsEqual(token, settingsOf(c).nodeToken))) {
    throw new ProblemError(401, 'unauthorized', 'the node token is missing or wrong', {
      headers: { 'WWW-Authenticate': 'Bearer realm="vestibule-node"' },
    });
  }
  const node = nodeIdSchema.safeParse(c.req.header('Vestibule-Node'));
  if (!node.success) throw new ProblemError(400, 'invalid_node', 'Vestibule-Node must name the node');
  if (c.req.header('Upgrade')?.toLowerCase() !== 'websocket') {
    throw new ProblemError(426, 'upgrade_required', 'this is a WebSocket', {
      headers: { Upgrade: 'websocket', Connection: 'Upgrade' },
    });
  }
  return c.env.NODE_LINK.getByName(node.data).fetch(request);
}
