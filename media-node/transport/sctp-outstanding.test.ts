/** Whatever a peer acknowledges, and in whatever order: what is on the way is counted rightly. */

import { expect, test } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { SctpOutstanding, type SentChunk } from './sctp-outstanding.ts';
import { tsnAdd, tsnDistance } from './sctp-packet.ts';
import { DataChunk } from './werift-internals.ts';

const FIRST_TSN = 0xffff_fff0;
const PATIENCE_MS = 50;

test('what is on the way is what was sent and is neither acknowledged nor lost', () => {
  const step = fc.record({
    kind: fc.constantFrom('send', 'repeat', 'acknowledge', 'wait', 'detect', 'time out'),
    amount: fc.nat(12),
    gaps: fc.array(fc.tuple(fc.nat(20), fc.nat(20)), { maxLength: 5 }),
  });

  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const outstanding = new SctpOutstanding();
      const all: SentChunk[] = [];
      let cumulative = tsnAdd(FIRST_TSN, -1);
      let nowMs = 0;
      for (const { kind, amount, gaps } of steps) {
        if (kind === 'send') {
          for (let i = 0; i < amount; i++) {
            const tsn = tsnAdd(FIRST_TSN, all.length);
            const added = outstanding.add({ tsn, stream: 0, chunk: new DataChunk(0, undefined), bytes: 100 + i });
            outstanding.sent(added, nowMs);
            all.push(added);
          }
        } else if (kind === 'repeat') {
          for (let lost = outstanding.nextLost(); lost !== undefined; lost = outstanding.nextLost()) {
            outstanding.sent(lost, nowMs);
          }
        } else if (kind === 'acknowledge') {
          const last = tsnAdd(FIRST_TSN, all.length - 1);
          cumulative = tsnAdd(cumulative, Math.min(amount, Math.max(0, tsnDistance(cumulative, last))));
          const body = Buffer.alloc(12 + 4 * gaps.length);
          body.writeUInt16BE(gaps.length, 8);
          for (const [index, [first, end]] of gaps.entries()) {
            body.writeUInt16BE(first, 12 + 4 * index);
            body.writeUInt16BE(end, 14 + 4 * index);
          }
          outstanding.acknowledge(cumulative, body, nowMs);
        } else if (kind === 'detect') outstanding.detectLosses(nowMs, PATIENCE_MS);
        else if (kind === 'time out') outstanding.loseAll();
        else nowMs += amount;

        const flying = all.filter(({ state }) => state === 'in-flight');
        expect(outstanding.flightBytes).toBe(flying.reduce((sum, { bytes }) => sum + bytes, 0));
        expect(outstanding.nextLost()).toBe(all.find(({ state }) => state === 'lost'));
        expect(flying.every(({ tsn }) => tsnDistance(cumulative, tsn) > 0)).toBe(true);
        if (kind === 'detect') expect(outstanding.nextLossMs(PATIENCE_MS)).toBeGreaterThan(nowMs);
        if (kind === 'time out') expect(flying).toEqual([]);
        // Nothing is forgotten: the earliest is on the way, lost, or found by the next timeout.
        if (!outstanding.isEmpty && kind === 'time out') expect(outstanding.earliest?.state).toBe('lost');
      }
    }),
    { numRuns: 2000 },
  );
});
