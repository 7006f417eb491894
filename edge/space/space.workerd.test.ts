import { evictDurableObject, reset, runInDurableObject } from 'cloudflare:test';
import { afterEach, expect, test } from 'vitest';
import type { StreamId } from '../../shared/ids.ts';
import { objects, stored, stub } from '../lobby/objects-under-test.ts';
import type { StreamInfo } from './rpc.ts';
import { SpaceStore } from './space-store.ts';

const NOTHING = { keys: [], alarm: null, tables: [] };

afterEach(() => reset());

const space = () => objects.SPACE.getByName('s1');

function streamOf(n: number, people: Partial<StreamInfo> = {}): StreamInfo {
  const uuid = `3b241101-e2bb-4255-8caf-${String(n).padStart(12, '0')}` as StreamId;
  return { uuid, title: `Stream ${n}`, owner: 'ada', guests: ['ben'], ...people };
}

const uuidsFor = async (...member: string[]) =>
  (await space().list({ member, after: null, limit: 100 })).streams.map(({ uuid }) => uuid);

test('asking writes nothing', async () => {
  const { uuid } = streamOf(1);
  expect(await space().stream({ stream: uuid })).toBeNull();
  expect(await space().delete({ stream: uuid })).toBe(false);
  expect(await space().list({ member: null, after: null, limit: 1 })).toEqual({ streams: [], more: false });
  expect(await stored(space())).toEqual(NOTHING);
});

test('an evicted space knows its streams', async () => {
  const people = { owner: 'Zoë "the" 🦊', guests: ["o'neil", 'x,y', '[]'] };
  await space().put({ stream: streamOf(1, people), onlyNew: false });
  await evictDurableObject(stub(space()));

  expect(await space().stream({ stream: streamOf(1).uuid })).toEqual(streamOf(1, people));
  expect(await uuidsFor("o'neil")).toEqual([streamOf(1).uuid]);
});

test('a changed stream is found by its people of now, once', async () => {
  await space().put({ stream: streamOf(1, { guests: ['ben', 'cleo'] }), onlyNew: false });
  expect(await space().put({ stream: streamOf(1, { owner: 'ben', guests: ['dora'] }), onlyNew: false })).toBe(
    'updated',
  );

  expect(await uuidsFor('ada', 'cleo')).toEqual([]);
  expect(await uuidsFor('ben', 'dora')).toEqual([streamOf(1).uuid]);
});

test('the last stream takes everything with it, and the next one starts afresh', async () => {
  await space().put({ stream: streamOf(1), onlyNew: true });
  await space().put({ stream: streamOf(2), onlyNew: true });
  expect(await space().delete({ stream: streamOf(1).uuid })).toBe(true);
  expect(await uuidsFor('ada')).toEqual([streamOf(2).uuid]);
  expect(await space().delete({ stream: streamOf(2).uuid })).toBe(true);
  expect(await stored(space())).toEqual(NOTHING);

  expect(await space().put({ stream: streamOf(3), onlyNew: true })).toBe('created');
  await evictDurableObject(stub(space()));
  expect(await uuidsFor('ada')).toEqual([streamOf(3).uuid]);
});

test('fifty writers at once: every stream is created once', async () => {
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, (_, n) => space().put({ stream: streamOf(n % 10), onlyNew: true })),
  );
  expect(outcomes.filter((outcome) => outcome === 'created')).toHaveLength(10);
  expect(outcomes.filter((outcome) => outcome === 'exists')).toHaveLength(40);
});

test('five hundred guests are found, all of them', async () => {
  const guests = Array.from({ length: 500 }, (_, n) => `guest-${n}`);
  await space().put({ stream: streamOf(1, { guests }), onlyNew: false });

  expect(await uuidsFor('guest-499')).toEqual([streamOf(1).uuid]);
  expect((await space().stream({ stream: streamOf(1).uuid }))?.guests).toEqual(guests);
});

test('what another version wrote is not touched', async () => {
  await runInDurableObject(stub(space()), (_, { storage }) => {
    storage.kv.put('version', 2);
    const store = new SpaceStore(storage);
    expect(() => store.put(streamOf(1))).toThrow('another version (2)');
    expect(() => store.get(streamOf(1).uuid)).toThrow('another version (2)');
  });
  expect(await stored(space())).toEqual({ keys: ['version'], alarm: null, tables: ['_cf_KV'] });
});
