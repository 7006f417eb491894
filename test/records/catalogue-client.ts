/** What a media node says about its recordings, said by a test. */
import { createHash } from 'node:crypto';
import { mintBootId, mintSessionId } from '../../shared/ids.ts';
import { PART_BYTES, type PartReceipt, type UploadPlan } from '../../shared/protocol/records.ts';

export class CatalogueClient {
  readonly id = createHash('sha256').update(String(Math.random())).digest('base64url').slice(0, 22);
  readonly name: string;
  readonly #room: string;
  readonly #url: string;
  readonly #headers: Record<string, string>;

  constructor(url: string, nodeToken: string, room = 'room') {
    this.#url = url;
    this.#room = room;
    this.name = `${room}_${mintSessionId()}_${Math.floor(Date.now() / 1000)}.mp4`;
    this.#headers = { Authorization: `Bearer ${nodeToken}`, 'Vestibule-Node': 'n1' };
  }

  begin(): Promise<Response> {
    const { id, name } = this;
    const whose = { boot: mintBootId(), lobby: `room:${this.#room}`, session: mintSessionId() };
    return this.say('POST', '', {
      id,
      name,
      ...whose,
      contentType: 'video/mp4',
      codecs: ['H264'],
      startedAt: Date.now(),
    });
  }

  async plan(): Promise<UploadPlan> {
    const response = await this.say('POST', `/${this.id}/upload`);
    if (!response.ok) throw new Error(`no plan: ${response.status} ${await response.text()}`);
    return (await response.json()) as UploadPlan;
  }

  /** By way of the edge, or by a presigned URL. `tamper` changes that URL first. */
  async put(plan: UploadPlan, part: number, bytes: Buffer, tamper = (url: string): string => url): Promise<Response> {
    const md5 = createHash('md5').update(bytes).digest('base64');
    if (plan.via === 'edge') {
      const headers = { ...this.#headers, 'Content-MD5': md5 };
      return fetch(`${this.#url}/node/records/${this.id}/parts/${part}`, {
        method: 'PUT',
        headers,
        body: new Uint8Array(bytes),
      });
    }
    const asked = await this.say('POST', `/${this.id}/parts/${part}/url`);
    if (!asked.ok) return asked;
    const { url, headers } = (await asked.json()) as { url: string; headers: Record<string, string> };
    return fetch(tamper(url), {
      method: 'PUT',
      headers: { ...headers, 'Content-MD5': md5 },
      body: new Uint8Array(bytes),
    });
  }

  /** As `put`. @throws Error when it is refused */
  async sent(plan: UploadPlan, part: number, bytes: Buffer): Promise<PartReceipt> {
    const response = await this.put(plan, part, bytes);
    if (!response.ok) throw new Error(`part ${part}: ${response.status} ${await response.text()}`);
    if (plan.via === 'edge') return (await response.json()) as PartReceipt;
    await response.body?.cancel();
    return { part, etag: response.headers.get('ETag') ?? '' };
  }

  /** All of `bytes`, part by part. */
  async upload(bytes: Buffer): Promise<PartReceipt[]> {
    const plan = await this.plan();
    const receipts: PartReceipt[] = [];
    for (let at = 0; at < bytes.length; at += PART_BYTES) {
      receipts.push(await this.sent(plan, receipts.length + 1, bytes.subarray(at, at + PART_BYTES)));
    }
    return receipts;
  }

  complete(parts: PartReceipt[], bytes: number): Promise<Response> {
    return this.say('POST', `/${this.id}/complete`, { parts, bytes, durationMs: 1000 });
  }

  say(method: string, path: string, body?: unknown): Promise<Response> {
    const json = body === undefined ? {} : { body: JSON.stringify(body) };
    const headers = { ...this.#headers, 'Content-Type': 'application/json' };
    return fetch(`${this.#url}/node/records${path}`, { method, headers, ...json });
  }
}
