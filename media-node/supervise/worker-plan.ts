/** How many workers, and what each is told. */
import { availableParallelism } from 'node:os';
import { nodeIdSchema } from '../../shared/ids.ts';
import { type NodeSettings, NodeSettingsError } from '../config.ts';

const MAX_PORT = 65_535;

export interface WorkerPlan {
  node: string;
  /** What differs from the supervisor's own environment. */
  environment: Readonly<Record<string, string>>;
}

/** `auto`: as many as there are cores for this process (affinity and the limits of containers counted). */
export function workerCount(wish: string, cores: number = availableParallelism()): number {
  return wish === 'auto' ? cores : Number(wish);
}

/**
 * Each worker is a node of its own: `<id>-1` on MEDIA_PORT, `<id>-2` on the port after it, …
 * @throws NodeSettingsError when there are not that many names or ports
 */
export function planWorkers(settings: NodeSettings, count: number): WorkerPlan[] {
  const { NODE_ID: id, MEDIA_PORT: port } = settings;
  const problems: string[] = [];
  if (!nodeIdSchema.safeParse(`${id}-${count}`).success) problems.push(`NODE_ID is too long for "${id}-${count}"`);
  if (port !== 0 && port + count - 1 > MAX_PORT) {
    problems.push(`MEDIA_PORT ${port} leaves no room for ${count} workers: ports end at ${MAX_PORT}`);
  }
  if (problems.length > 0) throw new NodeSettingsError(problems);
  return Array.from({ length: count }, (_, index) => {
    const node = `${id}-${index + 1}`;
    return {
      node,
      environment: {
        NODE_ID: node,
        MEDIA_PORT: String(port === 0 ? 0 : port + index),
        // These are the supervisor's.
        NODE_WORKERS: '',
        NODE_STATUS_PORT: '',
      },
    };
  });
}
