/** One JSON line on standard output, for the process that started this one. */
export function say(event: string, fields: Record<string, unknown> = {}): void {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

/** Calls `stop` once, on SIGTERM or when whoever started this is gone, and ends. */
export function stopWhenTold(stop: () => Promise<void>): void {
  let stopping = false;
  const end = (): void => {
    if (stopping) return;
    stopping = true;
    stop().finally(() => process.exit());
  };
  process.on('SIGTERM', end);
  process.stdin.on('end', end).on('error', end).resume();
}
