/** What a node says of itself to whoever watches over it: plain data, so that it may cross a process boundary. */
import { z } from 'zod';

export const nodeStatusSchema = z.object({
  node: z.string(),
  version: z.string(),
  region: z.string(),
  engine: z.string(),
  pid: z.int().positive(),
  /** `host:port` of each announced UDP address. */
  addresses: z.array(z.string()),
  /** Whether the edge has welcomed it, and the link stands. */
  linked: z.boolean(),
  uptimeSeconds: z.number(),
  sessions: z.int(),
  capacity: z.int(),
  residentBytes: z.number(),
  cpuSeconds: z.number(),
  /** Totals since the start, by name in camel case. */
  totals: z.record(z.string(), z.number()),
});
export type NodeStatus = z.infer<typeof nodeStatusSchema>;
