/** The Durable Object of one space: which streams it has, and who belongs to them. What runs in them is no matter of its. */
import { DurableObject } from 'cloudflare:workers';
import type { StreamId } from '../../shared/ids.ts';
import type { Env } from '../env.ts';
import type { SpaceRpc, StreamInfo } from './rpc.ts';
import { SpaceStore } from './space-store.ts';

export class Space extends DurableObject<Env> implements SpaceRpc {
  readonly #store: SpaceStore;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.#store = new SpaceStore(ctx.storage);
  }

  async stream(input: { stream: StreamId }): Promise<StreamInfo | null> {
    return this.#store.get(input.stream);
  }

  async put(input: { stream: StreamInfo; onlyNew: boolean }): Promise<'created' | 'updated' | 'exists'> {
    const { stream, onlyNew } = input;
    const isNew = this.#store.get(stream.uuid) === null;
    if (!isNew && onlyNew) return 'exists';
    this.#store.put(stream);
    return isNew ? 'created' : 'updated';
  }

  async delete(input: { stream: StreamId }): Promise<boolean> {
    const isThere = this.#store.get(input.stream) !== null;
    if (isThere) this.#store.delete(input.stream);
    return isThere;
  }

  async list(input: {
    member: readonly string[] | null;
    after: StreamId | null;
    limit: number;
  }): Promise<{ streams: StreamInfo[]; more: boolean }> {
    const { member, after, limit } = input;
    const found = this.#store.list({ member, after, limit: limit + 1 });
    return { streams: found.slice(0, limit), more: found.length > limit };
  }
}
