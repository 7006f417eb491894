/** Resolves when `work` is done, however it ends, or after `ms`. */
export async function within(ms: number, work: Promise<unknown> | null): Promise<void> {
  if (work === null) return;
  let timer: ReturnType<typeof setTimeout> | undefined;
  const timeout = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  const done = () => undefined;
  await Promise.race([work.then(done, done), timeout]);
  clearTimeout(timer);
}
