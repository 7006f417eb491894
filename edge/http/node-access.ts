/**
 * Who may speak for a media node: whoever shows `NODE_TOKEN`. All nodes share it, so `Vestibule-Node` is a name and no
 * proof: what one node cannot do to another is a guard against mistakes, not against somebody who has the token.
 */
import { ProblemError } from '../../shared/errors.ts';
import { type NodeId, nodeIdSchema } from '../../shared/ids.ts';
import { secretsEqual } from '../auth/constant-time.ts';
import { type AppContext, settingsOf } from '../middleware/context.ts';
import { limitRate } from '../middleware/rate-limit.ts';

/** The log says it once in this time, however many knock. */
const COMPLAINT_INTERVAL_MS = 10_000;
/** Of this isolate. */
let complainedAt = Number.NEGATIVE_INFINITY;

/** @throws ProblemError 401, 429 */
export async function requireNodeToken(c: AppContext): Promise<void> {
  const token = /^bearer +(\S+)$/i.exec(c.req.header('Authorization')?.trim() ?? '')?.[1] ?? '';
  if (!(await secretsEqual(token, settingsOf(c).nodeToken))) {
    complain(token === '' ? 'no' : 'a wrong');
    // Guessing costs tokens of the rate limit; a node that has the right one is never refused.
    if (token !== '') limitRate(c);
    throw new ProblemError(401, 'unauthorized', 'the node token is missing or wrong', {
      headers: { 'WWW-Authenticate': 'Bearer realm="vestibule-node"' },
    });
  }
}

/** The node that is speaking. @throws ProblemError 401, 400 `invalid_node` */
export async function requireNode(c: AppContext): Promise<NodeId> {
  await requireNodeToken(c);
  const node = nodeIdSchema.safeParse(c.req.header('Vestibule-Node'));
  if (!node.success)
    throw new ProblemError(
      400,
      'invalid_node',
      'Vestibule-Node must name the node: 1 to 64 letters, digits, - or _, such as paris-1',
    );
  return node.data;
}

/** An operator who wonders where a node is finds it here. What it calls itself is not repeated: anybody can write it. */
function complain(which: string): void {
  const now = Date.now();
  if (now - complainedAt < COMPLAINT_INTERVAL_MS) return;
  complainedAt = now;
  console.warn(`somebody who wants to be a media node was refused: ${which} node token`);
}
