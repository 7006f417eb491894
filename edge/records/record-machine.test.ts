import { describe, expect, test } from 'vitest';
import type { LobbyId, NodeId, SessionId } from '../../shared/ids.ts';
import { mintBootId } from '../../shared/ids.ts';
import type { RecordBegin, RecordId, RecordUpdate } from '../../shared/protocol/records.ts';
import { fc } from '../../shared/test-support/properties.ts';
import type { RecordEntry, Upload } from './record.ts';
import { ABANDONED_AFTER_MS, type RecordEvent, step } from './record-machine.ts';

const T0 = 1_800_000_000_000;
const NODE = 'n1' as NodeId;
const OTHER = 'n2' as NodeId;
const UPLOAD: Upload = { via: 'edge', key: 'k', uploadId: 'u' };
const BEGIN: RecordBegin = {
  id: 'aaaaaaaaaaaaaaaaaaaaaa' as RecordId,
  name: 'r_s_1.mp4',
  boot: mintBootId(),
  lobby: 'room:r' as LobbyId,
  session: 's' as SessionId,
  contentType: 'video/mp4',
  codecs: ['H264', 'opus'],
  startedAt: T0,
};
const begun: RecordEvent = { type: 'begun', node: NODE, begin: BEGIN };
const uploadBegun: RecordEvent = { type: 'upload-begun', node: NODE, upload: UPLOAD };
const opening: RecordEvent = { type: 'upload-opening', node: NODE, place: { via: 'edge', key: 'k' } };
const completed: RecordEvent = { type: 'completed', bytes: 10, durationMs: 5 };
const deadline: RecordEvent = { type: 'deadline', isFreed: true };
const said = (state: RecordUpdate['state'], node = NODE): RecordEvent => ({
  type: 'updated',
  node,
  update: { state, bytes: 7, durationMs: 3, ...(state === 'failed' ? { error: 'disk full' } : {}) },
});

function entryAfter(...events: RecordEvent[]): RecordEntry | null {
  return events.reduce<RecordEntry | null>((entry, event) => step(entry, event, T0).entry, null);
}

test('from the first byte to the store', () => {
  const entry = entryAfter(begun, uploadBegun, said('recording'), said('finalising'), said('uploading'), completed);
  expect(entry).toMatchObject({
    ...{ state: 'ready', bytes: 10, durationMs: 5, uploadedBytes: 10, endedAt: T0, error: null, upload: null },
    stored: { via: 'edge', key: 'k' },
  });
});

describe('nothing steps back', () => {
  test.each([
    ['recording', [said('finalising')], 'finalising'],
    ['recording', [said('uploading')], 'uploading'],
    ['finalising', [said('uploading')], 'uploading'],
    ['recording', [said('failed')], 'failed'],
  ] as const)('%s, said late', (late, before, state) => {
    expect(entryAfter(begun, ...before, said(late))?.state).toBe(state);
  });

  test('of a finished one', () => {
    const ready = entryAfter(begun, uploadBegun, completed);
    for (const event of [said('uploading'), said('failed'), uploadBegun]) {
      const { entry, refusal } = step(ready, event, T0 + 1);
      expect(entry).toBe(ready);
      expect(refusal?.code).toBe('record_ready');
    }
  });

  test('beginning again changes nothing', () => {
    const entry = entryAfter(begun, said('uploading'));
    expect(step(entry, begun, T0 + 1)).toEqual({ entry, refusal: null });
  });
});

test('a failed one may be uploaded after all', () => {
  const entry = entryAfter(begun, said('failed'), said('uploading'), uploadBegun, completed);
  expect(entry).toMatchObject({ state: 'ready', error: null });
});

test('only its own node may speak of it', () => {
  const entry = entryAfter(begun);
  const others = [uploadBegun, opening, begun].map((event) => ({ ...event, node: OTHER }));
  for (const event of [said('failed', OTHER), ...others]) {
    expect(step(entry, event as RecordEvent, T0)).toMatchObject({ entry, refusal: { code: 'no_record' } });
  }
});

test('a node that is silent for a day is given up, and what it had begun to upload', () => {
  const entry = entryAfter(begun, uploadBegun);
  expect(step(entry, deadline, T0 + ABANDONED_AFTER_MS - 1).entry).toBe(entry);
  const given = step(entry, deadline, T0 + ABANDONED_AFTER_MS).entry;
  expect(given).toMatchObject({ state: 'failed', upload: null, error: expect.stringContaining('not been heard') });
});

test('what a failed one had begun to upload is given up after a day without a word, and its reason stays', () => {
  const entry = entryAfter(begun, uploadBegun, said('failed'));
  expect(entry?.upload).not.toBeNull();
  expect(step(entry, deadline, T0 + ABANDONED_AFTER_MS - 1).entry).toBe(entry);
  const given = step(entry, deadline, T0 + ABANDONED_AFTER_MS).entry;
  expect(given).toMatchObject({ state: 'failed', upload: null, error: entry?.error, endedAt: entry?.endedAt });
});

test.each([
  ['a silent node', []],
  ['a failed one', [said('failed')]],
])('an upload that may have been begun is remembered until it is freed: of %s', (_, words) => {
  const entry = entryAfter(begun, opening, ...words);
  expect(entry).toMatchObject({ upload: null, opening: { via: 'edge', key: 'k' } });
  expect(step(entry, uploadBegun, T0).entry).toMatchObject({ upload: UPLOAD, opening: null });
  expect(step(entry, { type: 'upload-lost' }, T0).entry).toMatchObject({ upload: null, opening: null });
  expect(step(entry, deadline, T0 + ABANDONED_AFTER_MS - 1).entry).toBe(entry);
  const stuck = step(entry, { ...deadline, isFreed: false }, T0 + ABANDONED_AFTER_MS).entry;
  expect(stuck).toMatchObject({ state: 'failed', opening: { via: 'edge' } });
  expect(step(stuck, deadline, T0 + 2 * ABANDONED_AFTER_MS).entry).toMatchObject({ opening: null });
});

test('what lies in a store that is not configured any more is remembered until it can be freed', () => {
  const stuck: RecordEvent = { type: 'deadline', isFreed: false };
  const given = step(entryAfter(begun, uploadBegun), stuck, T0 + ABANDONED_AFTER_MS).entry;
  expect(given).toMatchObject({ state: 'failed', upload: UPLOAD });
  expect(step(given, stuck, T0 + 2 * ABANDONED_AFTER_MS).entry).toBe(given);
  expect(step(given, deadline, T0 + 2 * ABANDONED_AFTER_MS).entry).toMatchObject({ upload: null });
});

test('whatever comes, an ended recording has a reason or an object', () => {
  const event = fc.constantFrom<RecordEvent>(
    ...[
      begun,
      opening,
      uploadBegun,
      completed,
      said('recording'),
      said('finalising'),
      said('uploading'),
      said('failed'),
    ],
    ...[{ type: 'upload-lost' } as const, deadline, { ...deadline, isFreed: false } as const, said('failed', OTHER)],
  );
  fc.assert(
    fc.property(
      fc.array(fc.tuple(event, fc.integer({ min: 0, max: ABANDONED_AFTER_MS })), { maxLength: 20 }),
      (course) => {
        let entry: RecordEntry | null = null;
        let now = T0;
        for (const [next, passed] of course) {
          now += passed;
          const wasReady: boolean = entry?.state === 'ready';
          entry = step(entry, next, now).entry;
          if (wasReady) expect(entry?.state).toBe('ready');
          if (entry === null) continue;
          expect(entry.state === 'failed').toBe(entry.error !== null && entry.endedAt !== null);
          expect(entry.state === 'ready').toBe(entry.stored !== null);
          if (entry.state === 'ready') expect([entry.upload, entry.opening]).toEqual([null, null]);
        }
      },
    ),
  );
});
