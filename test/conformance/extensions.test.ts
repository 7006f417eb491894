/** Groups L, M and N of protocol.md: the core extensions of WHEP, server-sent events and layers. */
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { type Publisher, publish } from '../support/client/publisher.ts';
import { startVestibule, type Vestibule } from '../support/start-vestibule.ts';
import { until } from '../support/until.ts';
import { expectCors, expectEmpty, expectProblem } from './support/checks.ts';
import { EventReader } from './support/event-reader.ts';
import { freshRoom, playIn, publishIn, type Session } from './support/sessions.ts';
import { type Call, callTo, type Reply } from './support/wire.ts';

const EVENTS = ['active', 'inactive', 'layers', 'reconnect', 'viewercount'];
const JSON_BODY = { 'Content-Type': 'application/json' };
const RIDS = ['l', 'm', 'h'];

let server: Vestibule;
let call: Call;

beforeAll(async () => {
  server = await startVestibule();
  call = callTo(server.url);
});
afterAll(() => server.stop());

/** Who sends three layers until the test is over, and a viewer's session. */
async function live(room = freshRoom()): Promise<{ publisher: Publisher; player: Session; room: string }> {
  const publisher = await publish({ url: `${server.url}/api/whip/publish/${room}`, rids: RIDS });
  onTestFinished(() => publisher.close());
  return { publisher, player: await playIn(call, room), room };
}

/** URL and parameters of the link with this relation. */
function linkTo({ reply }: Session, relation: string): string[] {
  const links = (reply.header('Link') ?? '').split(/,\s+(?=<)/);
  const link = links.find((member) => member.includes(`rel="urn:ietf:params:whep:ext:core:${relation}"`));
  const [target = '', ...params] = (link ?? '').split(';').map((part) => part.trim());
  return [target.slice(1, -1), ...params];
}

const sseOf = (player: Session): string => linkTo(player, 'server-sent-events')[0] ?? '';
const layerOf = (player: Session): string => linkTo(player, 'layer')[0] ?? '';

async function open(player: Session, events: readonly string[] | null = null): Promise<string> {
  const sent = events === null ? {} : { headers: JSON_BODY, body: JSON.stringify(events) };
  const reply = await call(sseOf(player), { method: 'POST', ...sent });
  expectEmpty(reply, 201);
  return reply.header('Location') ?? '';
}

async function reading(location: string): Promise<EventReader> {
  const reader = await EventReader.open(new URL(location, server.url));
  onTestFinished(() => reader.close());
  return reader;
}

function choose(player: Session, layer: unknown): Promise<Reply> {
  return call(layerOf(player), { method: 'POST', headers: JSON_BODY, body: JSON.stringify(layer) });
}

describe('links (#132 #133 #134 #142)', () => {
  it('on the 201 of a player, and nowhere else', async () => {
    const { player, room } = await live();
    const [sse, ...params] = linkTo(player, 'server-sent-events');

    expect(sse).toBe(`${player.location}/sse`);
    expect(params).toContain(`events="${EVENTS.join(',')}"`);
    expect(layerOf(player)).toBe(`${player.location}/layer`);
    expect((await publishIn(call)).reply.header('Link') ?? '').not.toContain('urn:ietf:params');
    for (const reply of [await call(player.location), await call(`/api/whep/play/${room}`, { method: 'OPTIONS' })]) {
      expect(reply.header('Link') ?? '').not.toContain('urn:ietf:params');
    }
  });

  it('their URLs answer OPTIONS as all do (#42)', async () => {
    const { player } = await live();
    const stream = await open(player);

    for (const [path, methods] of [
      [sseOf(player), ['options', 'post']],
      [layerOf(player), ['delete', 'options', 'post']],
      [stream, ['delete', 'get', 'head', 'options']],
    ] as const) {
      const reply = await call(path, { method: 'OPTIONS' });
      expectEmpty(reply, 200);
      expect(reply.list('Allow').sort()).toEqual(methods);
      expectProblem(await call(path, { method: 'PATCH' }), 405);
      const preflight = { Origin: 'https://a.example', 'Access-Control-Request-Method': 'POST' };
      expectEmpty(await call(path, { method: 'OPTIONS', headers: preflight }), 200);
    }
  });
});

describe('an event stream (#135 #136 #137 #138 #139 #140 #141)', () => {
  it('tells what there is at once: somebody is live, the layers, how many watch', async () => {
    const { player } = await live();
    const reader = await reading(await open(player));

    await until(() => reader.messages.length >= 3, 'three messages');
    expect(reader.response.headers.get('Content-Type')).toBe('text/event-stream');
    expect(reader.response.headers.get('Access-Control-Allow-Origin')).toBe('*');
    expect(reader.lines.filter((line) => line !== '' && !/^(event|data|retry): |^:/.test(line))).toEqual([]);
    expect(reader.of('active')).toEqual([{}]);
    expect(reader.of('inactive')).toEqual([]);
    expect(reader.of('viewercount')[0]).toEqual({ viewercount: expect.any(Number) });
    expect(Object.keys(reader.of('layers')[0] as object)).toHaveLength(1);
  });

  it('tells what was asked for, and nothing else, also of what changes later', async () => {
    const { player, publisher } = await live();
    const reader = await reading(await open(player, ['active', 'inactive']));
    await until(() => reader.messages.length > 0, 'the first message');

    await publisher.session.leave();
    await until(() => reader.of('inactive').length > 0, 'the end', 10_000);
    expect(reader.messages.map(({ event }) => event)).toEqual(['active', 'inactive']);
  });

  it.each([
    ['a name that there is not', ['active', 'scte35']],
    ['no name', []],
    ['no list', { events: ['active'] }],
    ['names that are none', [1]],
  ])('is not made for %s', async (_, body) => {
    const { player } = await live();
    const reply = await call(sseOf(player), { method: 'POST', headers: JSON_BODY, body: JSON.stringify(body) });
    expectProblem(reply, 400);
  });

  it('ends by DELETE, and is 404 from then on; one that there never was likewise', async () => {
    const { player } = await live();
    const stream = await open(player);
    const other = await open(player, ['active']);
    const reader = await reading(stream);

    expectEmpty(await call(stream, { method: 'DELETE' }), 200);
    expectProblem(await call(stream), 404);
    expectProblem(await call(stream, { method: 'DELETE' }), 404);
    expectProblem(await call(`${sseOf(player)}/nothing`), 404);
    expectProblem(await call('/resource/e.nonsense/sse/x'), 404);
    await until(() => reader.ended, 'the end of what was being read', 10_000);
    expect((await reading(other)).response.status).toBe(200);
  });

  it('ends with its session (#80)', async () => {
    const { player } = await live();
    const stream = await open(player);
    const reader = await reading(stream);

    expectEmpty(await call(player.location, { method: 'DELETE' }), 200);
    await until(() => reader.ended, 'the end', 10_000);
    expectProblem(await call(sseOf(player), { method: 'POST' }), 404);
    expectProblem(await call(stream), 404);
    expectProblem(await choose(player, {}), 404);
  });
});

describe('layers (#143 #144 #145 #146)', () => {
  it('are described as the draft has it', async () => {
    const { player } = await live();
    const reader = await reading(await open(player, ['layers']));
    const flowing = () =>
      (Object.values((reader.of('layers').at(-1) ?? {}) as object) as { rid: string; bitrate: number }[][])[0]?.filter(
        ({ bitrate }) => bitrate > 0,
      );

    await until(
      () => flowing()?.length === RIDS.length,
      () => JSON.stringify(reader.messages),
      10_000,
    );
    const [index] = Object.keys(reader.of('layers').at(-1) as object);
    expect(player.answer.sections[Number(index)]?.kind).toBe('video');
    expect(flowing()?.map(({ rid }) => rid)).toEqual(['h', 'm', 'l']);
  });

  it.each([
    ['by rid', { rid: 'l' }],
    ['by the name that rid had in older drafts', { encodingId: 'm' }],
    ['of the m-section with this index', { mediaId: '1', rid: 'h' }],
    ['of the m-section with this index, as a number', { mediaId: 1, rid: 'h' }],
    ['within a size', { maxWidth: 640, maxHeight: '360' }],
    ['automatic', { mediaId: '1' }],
    ['automatic, in the fewest words', {}],
  ])('are chosen %s', async (_, layer) => {
    const { player } = await live();
    expectEmpty(await choose(player, layer), 200);
  });

  it('automatic again by DELETE, as often as it is asked for', async () => {
    const { player } = await live();
    expectEmpty(await choose(player, { rid: 'l' }), 200);
    for (let time = 0; time < 2; time++) expectEmpty(await call(layerOf(player), { method: 'DELETE' }), 200);
  });

  it.each([
    ['a layer that there is not', { rid: 'x' }, 422],
    ['an m-section that there is not', { mediaId: '7' }, 422],
    ['the sound', { mediaId: '0', rid: 'l' }, 422],
    ['a layer within an encoding', { spatialLayerId: 1 }, 422],
    ['a size that is none', { maxWidth: -5 }, 400],
    ['no object', 'l', 400],
  ])('are refused: %s', async (_, layer, status) => {
    const { player } = await live();
    const reply = await choose(player, layer);
    expectProblem(reply, status);
    expectCors(reply);
  });

  it('in JSON only', async () => {
    const { player } = await live();
    expectProblem(await call(layerOf(player), { method: 'POST', headers: JSON_BODY, body: '{' }), 400);
    const reply = await call(layerOf(player), {
      method: 'POST',
      headers: { 'Content-Type': 'text/plain' },
      body: '{}',
    });
    expectProblem(reply, 415);
    expect(reply.header('Accept-Post')).toBe('application/json');
  });

  it('are no business of a publisher', async () => {
    const { location } = await publishIn(call);
    expectProblem(await call(`${location}/layer`, { method: 'DELETE' }), 404);
    expectProblem(await call(`${location}/sse`, { method: 'POST' }), 404);
  });
});
