/**
 * Opens one relay: the upstream offers, the node answers and dials, the upstream takes the answer. Each step has a deadline,
 * and what a failed one has left at the upstream is closed. What became of it is told to the machine, which decides what
 * is tried next.
 */

import type { Outcome, Problem } from '../../shared/errors.ts';
import type { LobbyId, SessionId } from '../../shared/ids.ts';
import type { DesiredRelay, Lineage, TrackReport } from '../../shared/protocol/control.ts';
import type { Carrier } from '../carrier.ts';
import type { Env } from '../env.ts';
import type { Hop } from './relay-tree.ts';
import type { TreeEvent } from './relay-tree-events.ts';

/** All three steps stay below what viewers wait who are sent to a node that is just growing. */
const STEP_MS = 2_500;
/** This node will not relay whatever is tried. */
const NEVER: ReadonlySet<string> = new Set(['node_too_old', 'not_supported']);

export interface Opening extends Carrier {
  lobby: LobbyId;
  revision: number;
  hop: Hop;
  tracks: TrackReport[];
  /** The member of a stream lobby whose tracks these are; null: the room's. */
  source: { session: SessionId; generation: number; lineage?: Lineage } | null;
}

/** The object whose relay is opened. */
export interface RelayHost {
  readonly env: Env;
  /** Steps and starts what comes of it. */
  feed(event: Extract<TreeEvent, { type: 'offered' | 'pulled' | 'failed' }>): void;
  /** Is this hop still what the tree wants? */
  wants(node: Carrier, generation: number): boolean;
}

export async function openRelay(host: RelayHost, opening: Opening): Promise<void> {
  const { node, boot, hop, lobby, source } = opening;
  const { session, generation, upstream } = hop;
  const downstream = { node, boot };
  const failed = (at: 'upstream' | 'downstream', problem: Problem) => {
    const final = at === 'downstream' && NEVER.has(problem.code);
    host.feed({ type: 'failed', at, final, generation, ...downstream });
  };
  const above = host.env.NODE_LINK.getByName(upstream);
  const offered = await attempt(
    above.request<'relay-offer'>(
      { method: 'relay-offer', lobby, session, downstream: node, source: source?.session ?? null },
      STEP_MS,
      hop.upstreamBoot,
    ),
  );
  if (!offered.ok) {
    // It may have been opened all the same.
    if (offered.problem.code === 'node_timeout')
      await hangUp(host.env, { node: upstream, boot: hop.upstreamBoot }, session);
    failed('upstream', offered.problem);
    return;
  }
  host.feed({ type: 'offered', generation, ...downstream });
  if (!host.wants(downstream, generation)) return hangUp(host.env, { node: upstream, boot: hop.upstreamBoot }, session);
  const relay: DesiredRelay = { session, generation, upstream };
  const { revision, tracks } = opening;
  const { offer } = offered.value;
  const pulled = await attempt(
    host.env.NODE_LINK.getByName(node).request<'relay-pull'>(
      { method: 'relay-pull', lobby, revision, relay, source, tracks, offer },
      STEP_MS,
      boot,
    ),
  );
  if (!pulled.ok) {
    failed('downstream', pulled.problem);
    return hangUp(host.env, { node: upstream, boot: hop.upstreamBoot }, session);
  }
  host.feed({ type: 'pulled', generation, resumed: pulled.value.resumed, ...downstream });
  const { answer } = pulled.value;
  const taken = await attempt(
    above.request<'answer'>({ method: 'answer', session, answer }, STEP_MS, hop.upstreamBoot),
  );
  if (taken.ok) return;
  failed('upstream', taken.problem);
  return hangUp(host.env, { node: upstream, boot: hop.upstreamBoot }, session);
}

/** Closes a session at an upstream that nobody will use. Should that fail, the node closes it for its silence. */
export async function hangUp(env: Env, { node, boot }: Carrier, session: SessionId): Promise<void> {
  await attempt(env.NODE_LINK.getByName(node).request<'close'>({ method: 'close', session }, STEP_MS, boot));
}

/** An object that is being moved throws instead of answering. */
async function attempt<T>(call: Promise<Outcome<T>>): Promise<Outcome<T>> {
  try {
    return await call;
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    return { ok: false, problem: { status: 503, code: 'node_unreachable', detail } };
  }
}
