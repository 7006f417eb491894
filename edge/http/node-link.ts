/**
 * `GET /node/link`: where media nodes dial in. Not for browsers: a page cannot set these header fields on a WebSocket, and
 * no CORS header invites it to try.
 */
import { ProblemError } from '../../shared/errors.ts';
import { CONTROL_PROTOCOL_VERSION } from '../../shared/protocol/control.ts';
import { LINK_CHECK_FIELD, type LinkCheck } from '../../shared/protocol/link-check.ts';
import { type AppContext, settingsOf } from '../middleware/context.ts';
import { clientAddress } from '../middleware/rate-limit.ts';
import { requireNode, requireNodeToken } from './node-access.ts';

export const NODE_LINK_PATH = '/node/link';

/** @throws ProblemError 405, 401, 400 `invalid_node`, 426 */
export async function answerNode(c: AppContext): Promise<Response> {
  const request = c.req.raw;
  if (request.method !== 'GET') {
    throw new ProblemError(405, 'method_not_allowed', `${request.method} is not allowed here`, {
      headers: { Allow: 'GET' },
    });
  }
  if (c.req.header(LINK_CHECK_FIELD) !== undefined) {
    await requireNodeToken(c);
    const check: LinkCheck = {
      protocol: CONTROL_PROTOCOL_VERSION,
      websocket: c.req.header('Upgrade')?.toLowerCase() === 'websocket',
      address: clientAddress(c.req.raw, settingsOf(c)),
    };
    return c.json(check);
  }
  const node = await requireNode(c);
  if (c.req.header('Upgrade')?.toLowerCase() !== 'websocket') {
    throw new ProblemError(426, 'upgrade_required', 'this is a WebSocket', {
      headers: { Upgrade: 'websocket', Connection: 'Upgrade' },
    });
  }
  return c.env.NODE_LINK.getByName(node).fetch(request);
}
