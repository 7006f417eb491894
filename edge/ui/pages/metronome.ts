/**
 * A worker that ticks. Timers of a page in the background run once a second; those of a worker do not, so the test
 * pattern keeps moving while its publisher looks at the player in another tab.
 */
addEventListener('message', (event: MessageEvent<number>) => {
  setInterval(() => postMessage(null), event.data);
});
