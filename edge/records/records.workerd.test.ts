import { reset, runDurableObjectAlarm, runInDurableObject } from 'cloudflare:test';
import { env } from 'cloudflare:workers';
import { createHash } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { PART_BYTES } from '../../shared/protocol/records.ts';
import type { Env } from '../env.ts';
import { stub } from '../lobby/objects-under-test.ts';
import { type Call, deployed, problemOf } from '../test-support/app.ts';
import { TEST_NODE_TOKEN } from '../test-support/bindings.ts';
import { StoreError } from './object-store.ts';
import { R2Store } from './r2-store.ts';
import type { RecordEntry } from './record.ts';
import { RecordsStore } from './records-store.ts';

const ADMIN = { Authorization: 'Bearer root' };
const bindings = env as unknown as Env;
const records = () => bindings.RECORDS.getByName('records');
let call: Call;
let count = 0;

beforeEach(() => {
  call = deployed({ ADMIN_TOKEN: 'root' });
});
afterEach(async () => {
  vi.restoreAllMocks();
  await reset();
});

interface Draft {
  id: string;
  name: string;
}

function draft(room = 'r1'): Draft {
  count += 1;
  return { id: `rec-${count}`.padEnd(22, '-'), name: `${room}_s_${count}.mp4` };
}

function asNode(method: string, body?: unknown, headers: Record<string, string> = {}, node = 'n1'): RequestInit {
  const json = body === undefined || body instanceof Uint8Array ? {} : { 'Content-Type': 'application/json' };
  return {
    method,
    headers: { Authorization: `Bearer ${TEST_NODE_TOKEN}`, 'Vestibule-Node': node, ...json, ...headers },
    ...(body === undefined ? {} : { body: body instanceof Uint8Array ? body : JSON.stringify(body) }),
  };
}

async function begin({ id, name }: Draft, room = 'r1', startedAt = 1_000 + count): Promise<void> {
  const begun = { id, name, boot: 'b'.repeat(26), lobby: `room:${room}`, session: 's'.repeat(26) };
  const what = { contentType: 'video/mp4', codecs: ['H264', 'opus'], startedAt };
  const response = await call('/node/records', asNode('POST', { ...begun, ...what }));
  expect(response.status, await response.clone().text()).toBe(201);
}

/** What the edge makes of a recording that begins like this. */
async function statusOfBegin(changes: Record<string, unknown>): Promise<number> {
  const begun = { ...draft(), boot: 'b'.repeat(26), lobby: 'room:r1', session: 's'.repeat(26), startedAt: 1 };
  const what = { contentType: 'video/mp4', codecs: [] };
  const response = await call('/node/records', asNode('POST', { ...begun, ...what, ...changes }));
  await response.arrayBuffer();
  return response.status;
}

async function plan({
  id,
}: Draft): Promise<{ via: string; partBytes: number; parts: { part: number; etag: string }[] }> {
  const response = await call(`/node/records/${id}/upload`, asNode('POST'));
  expect(response.status).toBe(200);
  return response.json();
}

async function putPart({ id }: Draft, part: number, bytes: Uint8Array, sum = md5(bytes)): Promise<Response> {
  return call(
    `/node/records/${id}/parts/${part}`,
    asNode('PUT', bytes, { 'Content-MD5': sum, 'Content-Length': String(bytes.length) }),
  );
}

async function finish({ id }: Draft, parts: unknown[], bytes: number): Promise<Response> {
  return call(`/node/records/${id}/complete`, asNode('POST', { parts, bytes, durationMs: 1234 }));
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('base64');
}

function noise(length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 65_536) crypto.getRandomValues(bytes.subarray(at, at + 65_536));
  return bytes;
}

async function uploaded(bytes: Uint8Array, room = 'r1'): Promise<Draft> {
  const record = draft(room);
  await begin(record, room);
  await plan(record);
  const parts = [];
  for (let at = 0; at < bytes.length; at += PART_BYTES) {
    const response = await putPart(record, parts.length + 1, bytes.subarray(at, at + PART_BYTES));
    expect(response.status).toBe(200);
    parts.push(await response.json());
  }
  expect((await finish(record, parts, bytes.length)).status).toBe(200);
  return record;
}

async function listed(query = ''): Promise<Record<string, unknown>[]> {
  const response = await call(`/api/records${query}`, { headers: ADMIN });
  expect(response.status).toBe(200);
  return response.json();
}

describe('an upload through the edge', { timeout: 60_000 }, () => {
  test('comes back byte for byte, by the link in the list', async () => {
    const bytes = noise(PART_BYTES + 12_345);
    const { name } = await uploaded(bytes);

    const [entry] = await listed();
    expect(entry).toMatchObject({
      name,
      room: 'r1',
      state: 'ready',
      size: bytes.length,
      durationMs: 1234,
      error: null,
    });
    const file = await call(String(entry?.url));
    expect(file.status).toBe(200);
    expect(file.headers.get('Content-Type')).toBe('video/mp4');
    expect(md5(new Uint8Array(await file.arrayBuffer()))).toBe(md5(bytes));
  });

  test('is answered in ranges', async () => {
    const bytes = noise(1000);
    const { name } = await uploaded(bytes);
    const get = (headers: Record<string, string>, method = 'GET') =>
      call(`/records/${name}`, { method, headers: { ...ADMIN, ...headers } });

    const part = await get({ Range: 'bytes=100-199' });
    expect([part.status, part.headers.get('Content-Range')]).toEqual([206, 'bytes 100-199/1000']);
    expect(new Uint8Array(await part.arrayBuffer())).toEqual(bytes.subarray(100, 200));
    const past = await get({ Range: 'bytes=1000-' });
    expect([past.status, past.headers.get('Content-Range')]).toEqual([416, 'bytes */1000']);
    const changed = await get({ Range: 'bytes=0-9', 'If-Range': '"another"' });
    expect([changed.status, (await changed.arrayBuffer()).byteLength]).toEqual([200, 1000]);
    const head = await get({}, 'HEAD');
    expect([head.status, head.headers.get('Content-Length'), head.headers.get('Accept-Ranges')]).toEqual([
      200,
      '1000',
      'bytes',
    ]);
    const download = await call(`/records/${name}?download=1`, { headers: ADMIN });
    expect(download.headers.get('Content-Disposition')).toBe(`attachment; filename="${name}"`);
    await download.arrayBuffer();
  });

  test('goes on where it was after the node has lost its place', async () => {
    const record = draft();
    const bytes = noise(PART_BYTES + 1);
    await begin(record);
    await plan(record);
    await (await putPart(record, 1, bytes.subarray(0, PART_BYTES))).json();

    const { via, partBytes, parts } = await plan(record);
    expect([via, partBytes, parts.length]).toEqual(['edge', PART_BYTES, 1]);
    const last = await (await putPart(record, 2, bytes.subarray(PART_BYTES))).json();
    expect((await finish(record, [...parts, last], bytes.length)).status).toBe(200);
    // The node did not hear the answer.
    expect((await finish(record, [...parts, last], bytes.length)).status).toBe(200);
  });

  test('of a part that was damaged on its way is refused, and the right one takes its place', async () => {
    const record = draft();
    await begin(record);
    await plan(record);
    const bytes = noise(500);

    const bad = await putPart(record, 1, bytes, md5(noise(500)));
    expect([bad.status, (await problemOf(bad)).code]).toEqual([422, 'bad_checksum']);
    expect((await plan(record)).parts).toEqual([]);
    const good = await (await putPart(record, 1, bytes)).json();
    expect((await finish(record, [good], 500)).status).toBe(200);
  });

  test.each([
    ['a gap', [{ part: 2, etag: 'x' }], 10],
    ['a receipt that nobody gave', [{ part: 1, etag: 'x' }], 10],
    ['another length', null, 11],
    ['too many parts', null, PART_BYTES + 1],
  ])('does not end with %s', async (_, parts, bytes) => {
    const record = draft();
    await begin(record);
    await plan(record);
    const good = await (await putPart(record, 1, noise(10))).json();

    const refused = await finish(record, parts ?? [good], bytes);
    expect([refused.status, (await problemOf(refused)).code]).toEqual([409, 'part_mismatch']);
    expect((await finish(record, [good], 10)).status).toBe(200);
  });

  test('that the store has forgotten is begun again', async () => {
    const record = draft();
    await begin(record);
    await plan(record);
    const part = await (await putPart(record, 1, noise(10))).json();
    const upload = await records().part({ node: 'n1' as never, id: record.id as never });
    if (!upload.ok) throw new Error('no upload');
    await bindings.RECORDINGS?.resumeMultipartUpload(upload.value.key, upload.value.uploadId).abort();

    const refused = await finish(record, [part], 10);
    expect([refused.status, (await problemOf(refused)).code]).toEqual([409, 'no_upload']);
    expect((await plan(record)).parts).toEqual([]);
    const again = await (await putPart(record, 1, noise(10))).json();
    expect((await finish(record, [again], 10)).status).toBe(200);
  });

  test('that the store has forgotten is begun again, too, when the next part comes', async () => {
    const record = draft();
    await begin(record);
    await plan(record);
    await putPart(record, 1, noise(10));
    const upload = await records().part({ node: 'n1' as never, id: record.id as never });
    if (!upload.ok) throw new Error('no upload');
    await bindings.RECORDINGS?.resumeMultipartUpload(upload.value.key, upload.value.uploadId).abort();

    const refused = await putPart(record, 1, noise(10));
    expect([refused.status, (await problemOf(refused)).code]).toEqual([409, 'no_upload']);
    expect((await plan(record)).parts).toEqual([]);
    const again = await (await putPart(record, 1, noise(10))).json();
    expect((await finish(record, [again], 10)).status).toBe(200);
  });

  test('may be abandoned, twice', async () => {
    const record = draft();
    await begin(record);
    await plan(record);
    for (const _ of [1, 2])
      expect((await call(`/node/records/${record.id}/upload`, asNode('DELETE'))).status).toBe(204);
    const refused = await putPart(record, 1, noise(10));
    expect([refused.status, (await problemOf(refused)).code]).toEqual([409, 'no_upload']);
  });
});

describe('nobody gets in who should not', () => {
  test.each([
    ['no token', {}, 401],
    ['a wrong token', { Authorization: 'Bearer nope' }, 401],
  ])('a list with %s', async (_, headers, status) => {
    expect((await call('/api/records', { headers })).status).toBe(status);
  });

  test('a node without its token, or with another one’s recording', async () => {
    const record = draft();
    await begin(record);
    expect((await call('/node/records', { method: 'POST' })).status).toBe(401);
    for (const [path, method] of [
      ['upload', 'POST'],
      ['upload', 'DELETE'],
      ['parts/1/url', 'POST'],
    ] as const) {
      const response = await call(`/node/records/${record.id}/${path}`, asNode(method, undefined, {}, 'n2'));
      expect([path, response.status]).toEqual([path, 404]);
    }
  });

  test.each([
    ['is a page', { contentType: 'text/html' }],
    ['would end its header field', { contentType: 'video/mp4\r\nSet-Cookie: a=b' }],
    ['is a drawing with scripts', { contentType: 'image/svg+xml' }],
    ['began when no calendar knows', { startedAt: 8.7e15 }],
    ['leads elsewhere', { name: '../r_s_1.mp4' }],
    ['has a name that ends its quotes', { name: 'r"_s_1.mp4' }],
    ['is no recording', { name: 'r_s_1.html' }],
  ])('a recording that %s', async (_, changes) => {
    expect(await statusOfBegin({})).toBe(201);
    expect(await statusOfBegin(changes)).toBe(400);
    expect(await listed()).toHaveLength(1);
  });

  test.each([
    ['..%2f..%2fetc%2fpasswd'],
    ['.mp4'],
    ['a.html'],
    ['a%00.mp4'],
    ['nothing.mp4'],
    [`${'a'.repeat(300)}.mp4`],
  ])('a file named %s', async (name) => {
    expect((await call(`/records/${name}`, { headers: ADMIN })).status).toBe(404);
  });

  test('a link that is forged, of another file, or too old', async () => {
    const [a, b] = [await uploaded(noise(10)), await uploaded(noise(10))];
    const link = String((await listed()).find(({ name }) => name === a.name)?.url);
    const query = link.slice(link.indexOf('?'));
    const statusOf = async (path: string) => {
      const response = await call(path);
      await response.arrayBuffer();
      return response.status;
    };

    expect(await statusOf(link)).toBe(200);
    expect(await statusOf(`/records/${a.name}`)).toBe(401);
    expect(await statusOf(`/records/${b.name}${query}`)).toBe(403);
    expect(await statusOf(link.replace(/expires=(\d+)/, (_, at) => `expires=${Number(at) + 1}`))).toBe(403);
    expect(await statusOf(`/records/${a.name}?signature=x`)).toBe(403);
    vi.useFakeTimers({ now: Date.now() + 3_700_000, toFake: ['Date'] });
    try {
      expect(await statusOf(link)).toBe(403);
    } finally {
      vi.useRealTimers();
    }
  });
});

test('the list is newest first, by pages and rooms', async () => {
  for (const [index, room] of ['a', 'b', 'a', 'b', 'a'].entries()) await begin(draft(room), room, 5_000 + index);
  const names = (entries: Record<string, unknown>[]) =>
    entries.map(({ startedAt }) => Date.parse(String(startedAt)) - 5_000);

  expect(names(await listed())).toEqual([4, 3, 2, 1, 0]);
  expect(names(await listed('?room=a'))).toEqual([4, 2, 0]);
  const first = await call('/api/records?limit=2', { headers: ADMIN });
  expect(names(await first.json())).toEqual([4, 3]);
  const next = /^<([^>]+)>; rel="next"$/.exec(first.headers.get('Link') ?? '')?.[1] ?? '';
  expect(names(await (await call(next, { headers: ADMIN })).json())).toEqual([2, 1]);
  for (const query of ['?limit=0', '?limit=x', '?room=a%2Fb', '?before=x']) {
    expect([query, (await call(`/api/records${query}`, { headers: ADMIN })).status]).toEqual([query, 400]);
  }
});

test('what is deleted is gone from the store; what is still being made is not deleted', async () => {
  const record = await uploaded(noise(10));
  const busy = draft();
  await begin(busy);

  const remove = async ({ name }: Draft) =>
    (await call(`/records/${name}`, { method: 'DELETE', headers: ADMIN })).status;
  expect(await remove(busy)).toBe(409);
  expect(await remove(record)).toBe(200);
  expect(await remove(record)).toBe(404);
  expect(await bindings.RECORDINGS?.head(record.name)).toBeNull();
  expect((await listed()).map(({ name }) => name)).toEqual([busy.name]);
});

test('a recording that failed says why, and may still be uploaded', async () => {
  const record = draft();
  await begin(record);
  const update = { state: 'failed', bytes: 10, durationMs: 5, error: 'no space left on device' };
  expect((await call(`/node/records/${record.id}`, asNode('PATCH', update))).status).toBe(200);
  expect(await listed()).toMatchObject([{ state: 'failed', error: 'no space left on device', url: null }]);
  const file = await call(`/records/${record.name}`, { headers: ADMIN });
  expect([file.status, (await problemOf(file)).code]).toEqual([409, 'record_not_ready']);

  await plan(record);
  const part = await (await putPart(record, 1, noise(10))).json();
  expect((await finish(record, [part], 10)).status).toBe(200);
  expect(await listed()).toMatchObject([{ state: 'ready', error: null }]);
});

test('without a store there is nowhere to go', async () => {
  const record = draft();
  await begin(record);
  await runInDurableObject(stub(records()), async (instance) => {
    // As if the deployment had no bucket.
    Object.assign(instance as unknown as { env: Env }, { env: { ...bindings, RECORDINGS: undefined } });
  });
  const response = await call(`/node/records/${record.id}/upload`, asNode('POST'));
  expect([response.status, (await problemOf(response)).code]).toEqual([501, 'no_store']);
});

test('the alarm gives up a node that was silent for a day, and frees what it had uploaded', async () => {
  const record = draft();
  await begin(record);
  await plan(record);
  await silentForADay(record);
  expect(await runDurableObjectAlarm(stub(records()))).toBe(true);
  expect(await listed()).toMatchObject([{ state: 'failed', error: expect.stringContaining('not been heard of') }]);
  const refused = await putPart(record, 1, noise(10));
  expect((await problemOf(refused)).code).toBe('no_upload');
});

test('the alarm frees what a failed one had uploaded, and only that', async () => {
  const record = draft();
  await begin(record);
  await plan(record);
  const failure = { state: 'failed', bytes: 10, durationMs: 1, error: 'the disk is full' };
  await call(`/node/records/${record.id}`, asNode('PATCH', failure));
  const uploadOf = () =>
    runInDurableObject(stub(records()), (_, { storage }) => new RecordsStore(storage).get(record.id as never)?.upload);
  expect(await uploadOf()).not.toBeNull();
  await silentForADay(record);
  expect(await runDurableObjectAlarm(stub(records()))).toBe(true);
  expect(await uploadOf()).toBeNull();
  expect(await listed()).toMatchObject([{ state: 'failed', error: 'the disk is full' }]);
});

/** Its node has said nothing of it since. */
async function silentForADay({ id }: Draft): Promise<void> {
  await runInDurableObject(stub(records()), (_, { storage }) => {
    const store = new RecordsStore(storage);
    const entry = store.get(id as never);
    if (entry !== null) store.put({ ...entry, updatedAt: Date.now() - 86_400_000 });
  });
}

test('what a silent node had uploaded is freed when the store can be asked again, not forgotten', async () => {
  const record = draft();
  await begin(record);
  await plan(record);
  const aborted = vi.spyOn(R2Store.prototype, 'abort').mockRejectedValueOnce(new StoreError('away'));
  await silentForADay(record);
  await runDurableObjectAlarm(stub(records()));
  expect(await listed()).toMatchObject([{ state: 'recording' }]);
  // Its own time has come again.
  expect(await runDurableObjectAlarm(stub(records()))).toBe(true);
  expect(await listed()).toMatchObject([{ state: 'failed' }]);
  expect(aborted).toHaveBeenCalledTimes(2);
  aborted.mockRestore();
});

describe('a store that was asked for an upload and gave no answer', () => {
  const ask = async ({ id }: Draft) => (await call(`/node/records/${id}/upload`, asNode('POST'))).status;

  test('is swept before it is asked again', async () => {
    const record = draft();
    await begin(record);
    const swept = vi.spyOn(R2Store.prototype, 'sweep');
    vi.spyOn(R2Store.prototype, 'begin').mockRejectedValueOnce(new StoreError('no answer'));
    expect([await ask(record), swept.mock.calls.length]).toEqual([503, 0]);
    expect([await ask(record), swept.mock.calls]).toEqual([200, [[{ via: 'edge', key: record.name }]]]);
    expect([await ask(record), swept.mock.calls.length]).toEqual([200, 1]);
  });

  test('is swept when the node is given up, as soon as it can be asked', async () => {
    const record = draft();
    await begin(record);
    vi.spyOn(R2Store.prototype, 'begin').mockRejectedValueOnce(new StoreError('no answer'));
    const swept = vi.spyOn(R2Store.prototype, 'sweep').mockRejectedValueOnce(new StoreError('away'));
    expect(await ask(record)).toBe(503);
    await silentForADay(record);
    await runDurableObjectAlarm(stub(records()));
    expect(await listed()).toMatchObject([{ state: 'recording' }]);
    expect(await runDurableObjectAlarm(stub(records()))).toBe(true);
    expect(await listed()).toMatchObject([{ state: 'failed' }]);
    expect(swept).toHaveBeenCalledTimes(2);
    // Nothing is left to be freed; should the node come back, it begins again.
    expect([await ask(record), swept.mock.calls.length]).toEqual([200, 2]);
  });
});

test('how far recordings have come is told for all of a node at once, shown at once, and written seldom', async () => {
  const [one, two, foreign] = [draft('a'), draft('b'), draft('c')];
  for (const { id, name } of [one, two]) await begin({ id, name });
  const written = () =>
    runInDurableObject(stub(records()), (_, { storage }) => new RecordsStore(storage).get(one.id as never)?.bytes);
  const tell = async (bytes: number, node?: string) => {
    const told = { state: 'recording', bytes, durationMs: bytes * 10, uploadedBytes: 1 };
    const body = { records: [one, two, foreign].map(({ id }) => ({ id, ...told })) };
    const response = await call('/node/records', asNode('PATCH', body, {}, node));
    expect(response.status).toBe(200);
    return response.json();
  };

  expect(await tell(100)).toEqual({ refused: [foreign.id] });
  expect(await tell(200)).toEqual({ refused: [foreign.id] });
  const shown = { state: 'recording', size: 200, durationMs: 2_000, uploadedBytes: 1 };
  expect(await listed()).toMatchObject([shown, shown]);
  expect(await written()).toBe(0);
  expect(await tell(300, 'n2')).toEqual({ refused: [one.id, two.id, foreign.id] });
  // A minute later it is worth a write; so is another state at any time.
  vi.useFakeTimers({ now: Date.now() + 60_000, toFake: ['Date'] });
  try {
    await tell(400);
  } finally {
    vi.useRealTimers();
  }
  expect(await written()).toBe(400);
  await call(`/node/records/${one.id}`, asNode('PATCH', { state: 'uploading', bytes: 500, durationMs: 5_000 }));
  expect(await written()).toBe(500);
});

test('what lies in a store that is not configured any more is not forgotten by accident', async () => {
  const record = await uploaded(noise(10));
  const name = `/records/${record.name}`;
  const environment = { ...bindings, RECORDINGS: undefined, RECORD_RETENTION_DAYS: '1' };
  await runInDurableObject(stub(records()), (instance, { storage }) => {
    Object.assign(instance as unknown as { env: Env }, { env: environment });
    const store = new RecordsStore(storage);
    const entry = store.get(record.id as never);
    if (entry !== null) store.put({ ...entry, endedAt: 1 });
  });
  const kept = await call(name, { method: 'DELETE', headers: ADMIN });
  expect([kept.status, (await problemOf(kept)).code]).toEqual([409, 'store_gone']);
  // Nor when its time is over; and that is asked seldom.
  await listed();
  await runDurableObjectAlarm(stub(records()));
  expect(await listed()).toHaveLength(1);
  const alarmAt = await runInDurableObject(stub(records()), (_, { storage }) => storage.getAlarm());
  expect(alarmAt).toBeGreaterThan(Date.now() + 3_000_000);

  expect((await call(`${name}?forget=1`, { method: 'DELETE', headers: ADMIN })).status).toBe(200);
  expect(await listed()).toHaveLength(0);
  expect(await bindings.RECORDINGS?.head(record.name)).not.toBeNull();
});

test('a player that asks for many ranges is not held up; who has no good link is counted', async () => {
  const { name } = await uploaded(noise(100));
  const link = String((await listed())[0]?.url);
  call = deployed({ ADMIN_TOKEN: 'root', RATE_LIMIT_RPS: '0.001', RATE_LIMIT_BURST: '2' });
  const statusOf = async (path: string, headers = {}) => {
    const response = await call(path, { headers: { Range: 'bytes=0-9', ...headers } });
    await response.arrayBuffer();
    return response.status;
  };
  for (let times = 0; times < 5; times++) expect(await statusOf(link)).toBe(206);
  const bad = `${link}x`;
  expect([await statusOf(bad), await statusOf(`/records/${name}`, ADMIN), await statusOf(bad)]).toEqual([
    403, 206, 429,
  ]);
});

test('a retention that was set later finds what is old', async () => {
  const name = 'r1_s_1.mp4';
  await runInDurableObject(stub(records()), (instance, { storage }) => {
    const made = { id: 'a'.repeat(22), name, lobby: 'room:r1', session: 's'.repeat(26), node: 'n1' };
    const what = { contentType: 'video/mp4', codecs: [], state: 'ready', bytes: 1, durationMs: 1, uploadedBytes: 1 };
    const rest = {
      startedAt: 1,
      updatedAt: 1,
      endedAt: 1,
      error: null,
      upload: null,
      stored: { via: 'edge', key: name },
    };
    new RecordsStore(storage).put({ ...made, ...what, ...rest } as unknown as RecordEntry);
    Object.assign(instance as unknown as { env: Env }, { env: { ...bindings, RECORD_RETENTION_DAYS: '1' } });
  });
  expect(await listed()).toHaveLength(1);
  await expect.poll(() => listed()).toHaveLength(0);
});

test('a node that fell silent is looked for again when its time is over, and not at once for a minute', async () => {
  const one = draft('a');
  await begin(one);
  const t0 = Date.now();
  vi.useFakeTimers({ now: t0 + 30_000, toFake: ['Date'] });
  try {
    const told = { id: one.id, state: 'recording', bytes: 1, durationMs: 1, uploadedBytes: 0 };
    await call('/node/records', asNode('PATCH', { records: [told] }));
    vi.setSystemTime(t0 + 86_400_000 + 5_000);
    await runDurableObjectAlarm(stub(records()));
    const alarmAt = await runInDurableObject(stub(records()), (_, { storage }) => storage.getAlarm());
    expect(alarmAt).toBeGreaterThanOrEqual(t0 + 86_400_000 + 30_000);
  } finally {
    vi.useRealTimers();
  }
});
