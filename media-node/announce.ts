/** What a node says about itself on standard output. */

/** A step of its life, and what goes with it. */
export interface NodeEvent {
  event: 'ready' | 'linked' | 'worker' | 'draining';
  /** `host:port` of each announced UDP address. */
  addresses?: readonly string[];
  [detail: string]: unknown;
}

/**
 * One JSON line for whoever supervises the node. On a terminal a person reads: they are told the addresses by the log, and
 * the rest they have from it already.
 */
export function announce(event: NodeEvent, log: (message: string) => void): void {
  if (process.stdout.isTTY !== true) process.stdout.write(`${JSON.stringify(event)}\n`);
  else if (event.event === 'ready') log(`ready: UDP ${(event.addresses ?? []).join(', ')}. Ctrl-C ends it`);
}
