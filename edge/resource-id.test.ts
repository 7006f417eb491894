import { describe, expect, it } from 'vitest';
import { mintSessionId, type NodeId, type RoomName, type SpaceName, type StreamId } from '../shared/ids.ts';
import { fc } from '../shared/test-support/properties.ts';
import { type ResourceId, readResourceId, writeResourceId } from './resource-id.ts';

const SECRET = 'a secret of this edge';
const FUZZ_RUNS = 10_000;

const name = fc.stringMatching(/^[A-Za-z0-9_-]{1,64}$/);
const session = fc.constant(null).map(() => mintSessionId());
const resource: fc.Arbitrary<ResourceId> = fc.oneof(
  fc.record({ kind: fc.constant('ingress' as const), room: name.map((n) => n as RoomName), session }),
  fc.record({
    kind: fc.constant('egress' as const),
    room: name.map((n) => n as RoomName),
    node: name.map((n) => n as NodeId),
    session,
  }),
  fc.record({
    kind: fc.constant('join' as const),
    room: name.map((n) => n as RoomName),
    session,
    issuedAtMs: fc.integer({ min: 1, max: 4_102_444_800_000 }),
  }),
  fc.record({
    kind: fc.constantFrom('member' as const, 'listener' as const),
    space: fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9._@-]{0,99}$/).map((n) => n as SpaceName),
    stream: fc.uuid().map((n) => n as StreamId),
    session,
  }),
  fc.record({ kind: fc.constant('audience' as const), node: name.map((n) => n as NodeId), session }),
);

describe('resource ids', () => {
  it('says where the session lives and comes back as it was written', async () => {
    await fc.assert(
      fc.asyncProperty(resource, async (wanted) => {
        const rid = await writeResourceId(wanted, SECRET);

        // One path segment that needs no escaping, within what `readResourceId` looks at (#5).
        expect(rid).toMatch(/^[A-Za-z0-9._@-]{1,192}$/);
        expect(await readResourceId(rid, SECRET)).toEqual(wanted);
      }),
      { numRuns: 500 },
    );
  });

  it('refuses every change of a single character', async () => {
    const rid = await writeResourceId({ kind: 'ingress', room: 'r1' as RoomName, session: mintSessionId() }, SECRET);

    for (let index = 0; index < rid.length; index++) {
      for (const other of ['a', 'B', '7', '.', '-', '']) {
        const forged = rid.slice(0, index) + other + rid.slice(index + 1);
        if (forged !== rid) expect(await readResourceId(forged, SECRET), forged).toBeNull();
      }
    }
  });

  it('refuses the ids of another secret', async () => {
    const rid = await writeResourceId({ kind: 'ingress', room: 'r1' as RoomName, session: mintSessionId() }, 'other');

    expect(await readResourceId(rid, SECRET)).toBeNull();
  });

  it('refuses a MAC that was made for another kind of resource', async () => {
    const join = { kind: 'join', room: 'r1' as RoomName, session: mintSessionId(), issuedAtMs: 1 } as const;
    const rid = await writeResourceId(join, SECRET);

    expect(await readResourceId(rid.replace(/^j/, 'e'), SECRET)).toBeNull();
  });

  it('answers null, never an exception, to whatever a client writes', async () => {
    const shaped = fc
      .tuple(fc.constantFrom('i', 'e', 'j', 'x', ''), fc.array(fc.string({ maxLength: 70 }), { maxLength: 6 }))
      .map(([kind, fields]) => [kind, ...fields].join('.'));
    await fc.assert(
      fc.asyncProperty(fc.oneof(fc.string({ unit: 'binary', maxLength: 250 }), shaped), async (rid) => {
        expect(await readResourceId(rid, SECRET)).toBeNull();
      }),
      { numRuns: FUZZ_RUNS },
    );
  });
});
