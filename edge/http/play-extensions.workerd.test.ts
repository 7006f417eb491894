/** Layers and event streams of players, against a fake node: `protocol.md`, groups M and N. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Call, deployed, playIn, problemOf, publishIn } from '../test-support/app.ts';
import { dialFakeNode, type FakeNode } from '../test-support/fake-node.ts';

const call: Call = deployed();
const JSON_TYPE = { 'Content-Type': 'application/json' };

let node: FakeNode;
let rooms = 0;
let publisher = '';
let viewer = '';

beforeAll(async () => {
  node = await dialFakeNode();
});
afterAll(() => node.close());
beforeEach(async () => {
  rooms += 1;
  const room = `extended-${rooms}`;
  publisher = await publishIn(call, room);
  viewer = await playIn(call, room);
});

const choose = (layer: unknown): Promise<Response> =>
  call(`${viewer}/layer`, { method: 'POST', headers: JSON_TYPE, body: JSON.stringify(layer) });

function lastChoice() {
  const choices = node.requests.filter((request) => request.method === 'layer');
  const { session: _, ...choice } = choices.at(-1) ?? { session: null };
  return choice;
}

describe('layers', () => {
  const automatic = { method: 'layer', media: null, rid: null, maxWidth: null, maxHeight: null };

  it.each([
    ['by rid', { rid: 'low' }, { ...automatic, rid: 'low' }],
    ['by an older name', { encodingId: 'low' }, { ...automatic, rid: 'low' }],
    [
      'numbers as text, and text as numbers',
      { mediaId: 1, maxWidth: '640' },
      { ...automatic, media: '1', maxWidth: 640 },
    ],
    ['what a track without layers is listed with', { spatialLayerId: 0, temporalLayerId: '0' }, automatic],
    ['members that nobody knows', { simulcastIdx: 2, rid: 'low' }, { ...automatic, rid: 'low' }],
  ])('hands the choice to the node: %s', async (_, layer, expected) => {
    expect((await choose(layer)).status).toBe(200);
    expect(lastChoice()).toEqual(expected);
  });

  it('DELETE is automatic', async () => {
    expect((await call(`${viewer}/layer`, { method: 'DELETE' })).status).toBe(200);
    expect(lastChoice()).toEqual(automatic);
  });

  it('what the node refuses is refused; what cannot be is not asked for', async () => {
    expect(await problemOf(await choose({ rid: 'other' }))).toMatchObject({ status: 422, code: 'no_layer' });
    const asked = node.requests.filter(({ method }) => method === 'layer').length;
    expect(await problemOf(await choose({ maxTemporalLayerId: 1 }))).toMatchObject({ status: 422, code: 'no_layer' });
    expect(node.requests.filter(({ method }) => method === 'layer').length).toBe(asked);
  });

  it('are there for players only', async () => {
    expect((await call(`${publisher}/layer`, { method: 'DELETE' })).status).toBe(404);
    expect((await call('/resource/e.forged/layer', { method: 'DELETE' })).status).toBe(404);
  });
});

describe('event streams', () => {
  async function open(events?: string[]): Promise<string> {
    const body = events === undefined ? {} : { headers: JSON_TYPE, body: JSON.stringify(events) };
    const response = await call(`${viewer}/sse`, { method: 'POST', ...body });
    expect(response.status).toBe(201);
    return response.headers.get('Location') ?? '';
  }

  it('bring what the node says, with the viewers of the fleet', async () => {
    const response = await call(await open());
    expect(response.headers.get('Content-Type')).toBe('text/event-stream');
    const reader = response.body?.getReader();
    let text = '';
    while (!text.includes('viewercount')) text += new TextDecoder().decode((await reader?.read())?.value);
    await reader?.cancel();

    expect(text).toContain('event: active\ndata: {}\n\n');
    expect(text).toMatch(/event: viewercount\ndata: {"viewercount":\d+}\n\n/);
  });

  it('are asked for by name', async () => {
    await open(['layers', 'active', 'layers']);
    const asked = node.requests.findLast((request) => request.method === 'open-events');
    expect(asked).toMatchObject({ events: ['layers', 'active'] });
    const refused = await call(`${viewer}/sse`, { method: 'POST', headers: JSON_TYPE, body: '["scte35"]' });
    expect(await problemOf(refused)).toMatchObject({ status: 400, code: 'unknown_event' });
  });

  it('are over with their session, and before a first byte', async () => {
    const stream = await open();
    expect((await call(viewer, { method: 'DELETE' })).status).toBe(200);
    expect((await call(stream)).status).toBe(404);
    expect((await call(`${viewer}/sse`, { method: 'POST' })).status).toBe(404);
  });
});
