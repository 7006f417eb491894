/**
 * Requests that need nobody outside of this isolate follow each other without a turn for timers. A fake node cannot ping
 * meanwhile and is given up after some seconds, which is soon on a slow machine: a test of hundreds of requests lets the
 * others have a turn now and then.
 */
const EVERY = 20;

/** To be awaited at each request. */
export function turns(): () => Promise<void> {
  let asked = 0;
  return async () => {
    asked += 1;
    if (asked % EVERY === 0) await new Promise((resolve) => setTimeout(resolve));
  };
}
