/** What the link has to know of a request: which lobby it brings to the node or takes from it, and who understands it. */
import type { LobbyId } from '../../shared/ids.ts';
import { FLEET_PROTOCOL_VERSION, type NodeMethod, type NodeRequest } from '../../shared/protocol/control.ts';

const FLEET_METHODS: ReadonlySet<NodeMethod> = new Set([
  'relay-offer',
  'relay-pull',
  'drain',
  'layer',
  'open-events',
  'read-events',
  'close-events',
]);

interface Wish {
  lobby: LobbyId;
  revision: number;
}

/** The wish by which this lobby may have something on the node from now on; null: the request brings nothing there. */
export function begins(request: NodeRequest): Wish | null {
  switch (request.method) {
    case 'publish':
    case 'join':
    case 'relay-pull':
      return request;
    case 'apply':
    case 'apply-stream':
      return ends(request) === null ? request.desired : null;
    default:
      return null;
  }
}

/** The wish after which this lobby has nothing on the node any more; null: it is none. */
export function ends(request: NodeRequest): Wish | null {
  if (request.method === 'apply') {
    const { publisher, relay } = request.desired;
    return publisher === null && !relay ? request.desired : null;
  }
  if (request.method === 'apply-stream') {
    const { members, remotes = [], audience = false } = request.desired;
    return members.length + remotes.length === 0 && !audience ? request.desired : null;
  }
  return null;
}

/** The first protocol version that has this method. A node of an earlier one would drop the frame and leave us waiting. */
export function protocolOf(method: NodeMethod): number {
  return FLEET_METHODS.has(method) ? FLEET_PROTOCOL_VERSION : 1;
}
