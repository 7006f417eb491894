/** Lets calls wait for something that other calls bring about. */
export class Changes {
  readonly #watchers = new Set<() => void>();

  /** Something may have changed. */
  happened(): void {
    for (const check of [...this.#watchers]) check();
  }

  /** Resolves when `condition` holds, or after `ms`; says whether it holds then. */
  async until(condition: () => boolean, ms: number): Promise<boolean> {
    if (condition()) return true;
    return new Promise((resolve) => {
      const end = (holds: boolean) => {
        clearTimeout(timer);
        this.#watchers.delete(check);
        resolve(holds);
      };
      const check = () => {
        if (condition()) end(true);
      };
      const timer = setTimeout(() => end(condition()), ms);
      this.#watchers.add(check);
    });
  }
}
