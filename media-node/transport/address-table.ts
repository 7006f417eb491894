/**
 * Who sends from which remote address, for one of our sockets. Keyed by port with a short chain per port, so that a
 * look-up builds no key: two hosts behind the same port number are rare.
 */
interface Entry<T> {
  readonly address: string;
  readonly owner: T;
}

export class AddressTable<T> {
  readonly #byPort = new Map<number, Entry<T>[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(address: string, port: number): T | undefined {
    const chain = this.#byPort.get(port);
    if (chain === undefined) return undefined;
    for (const entry of chain) if (entry.address === address) return entry.owner;
    return undefined;
  }

  /** Gives the address to `owner`, whoever had it before. */
  set(address: string, port: number, owner: T): void {
    const chain = this.#byPort.get(port);
    if (chain === undefined) {
      this.#byPort.set(port, [{ address, owner }]);
      this.#size += 1;
      return;
    }
    const index = chain.findIndex((entry) => entry.address === address);
    if (index >= 0) {
      chain[index] = { address, owner };
    } else {
      chain.push({ address, owner });
      this.#size += 1;
    }
  }

  /** Removes the address if it still is `owner`'s. */
  delete(address: string, port: number, owner: T): void {
    const chain = this.#byPort.get(port);
    const index = chain?.findIndex((entry) => entry.address === address && entry.owner === owner) ?? -1;
    if (chain === undefined || index < 0) return;
    chain.splice(index, 1);
    this.#size -= 1;
    if (chain.length === 0) this.#byPort.delete(port);
  }
}
