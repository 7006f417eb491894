/** Values behind small integers that are used again after `remove`. */
export class HandleTable<T> {
  readonly #values: (T | undefined)[] = [];
  readonly #free: number[] = [];

  add(value: T): number {
    const handle = this.#free.pop() ?? this.#values.length;
    this.#values[handle] = value;
    return handle;
  }

  /** Throws RangeError for a handle that is not open: its owner has lost count. */
  get(handle: number): T {
    const value = this.#values[handle];
    if (value === undefined) throw new RangeError(`handle ${handle} is not open`);
    return value;
  }

  /** Idempotent only until the handle is given out again. */
  remove(handle: number): void {
    if (this.#values[handle] === undefined) return;
    this.#values[handle] = undefined;
    this.#free.push(handle);
  }
}
