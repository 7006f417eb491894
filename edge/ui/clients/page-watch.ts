/** What happens to a page and to its network, in the words of a session. */

/** The network is another one, or back; the page goes away; the page came to the front. */
export type PageEvent = 'networkChanged' | 'stop' | 'nudge';

/** Until `signal` is aborted. */
export function watchPage(happened: (event: PageEvent) => void, signal: AbortSignal): void {
  addEventListener('online', () => happened('networkChanged'), { signal });
  addEventListener('pagehide', () => happened('stop'), { signal });
  document.addEventListener(
    'visibilitychange',
    () => {
      if (document.visibilityState === 'visible') happened('nudge');
    },
    { signal },
  );
  watchInterface(() => happened('networkChanged'), signal);
}

/** Wi-Fi to mobile and back. `change` also fires for new bandwidth guesses, which mean nothing here. */
function watchInterface(changed: () => void, signal: AbortSignal): void {
  const information = (navigator as { connection?: EventTarget & { type?: string } }).connection;
  let type = information?.type;
  information?.addEventListener(
    'change',
    () => {
      if (information.type === type) return;
      type = information.type;
      changed();
    },
    { signal },
  );
}
