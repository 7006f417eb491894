import { describe, expect, it } from 'vitest';
import { fc } from '../../shared/test-support/properties.ts';
import { KeyframePolicy, type KeyframeReason } from './keyframe-policy.ts';

/** The times, to 10 ms, at which a request is sent between the two given. */
function sentBetween(policy: KeyframePolicy, fromMs: number, toMs: number): number[] {
  const times: number[] = [];
  for (let nowMs = fromMs; nowMs < toMs; nowMs += 10) if (policy.due(nowMs)) times.push(nowMs);
  return times;
}

describe('KeyframePolicy', () => {
  it('sends nothing unasked', () => {
    expect(sentBetween(new KeyframePolicy(), 0, 5000)).toEqual([]);
  });

  it('sends the first request at once, and none after the keyframe came', () => {
    // Arrange
    const policy = new KeyframePolicy();
    // Act
    policy.request('new-viewer', 1000);
    const sent = sentBetween(policy, 1000, 1050);
    policy.keyframeSeen(1050);
    // Assert
    expect(sent).toEqual([1000]);
    expect(sentBetween(policy, 1050, 9000)).toEqual([]);
    expect(policy).toMatchObject({ sent: 1, keyframes: 1, wanted: false, lastWaitMs: 50 });
    expect(policy.sinceKeyframeMs(1100)).toBe(50);
  });

  it('makes one request of a hundred at the same time', () => {
    const policy = new KeyframePolicy();
    for (let viewer = 0; viewer < 100; viewer++) policy.request('new-viewer', 0);
    expect(sentBetween(policy, 0, 400)).toEqual([0]);
    expect(policy.requests).toMatchObject({ 'new-viewer': 100, loss: 0 });
  });

  it('keeps a request that comes too early after an answered one', () => {
    // Arrange
    const policy = new KeyframePolicy();
    policy.request('new-viewer', 0);
    policy.due(0);
    policy.keyframeSeen(30);
    // Act
    policy.request('viewer-pli', 100);
    // Assert
    expect(sentBetween(policy, 100, 700)).toEqual([500]);
  });

  it('repeats unanswered requests ever more seldom, without end', () => {
    const policy = new KeyframePolicy();
    policy.request('new-viewer', 0);
    expect(sentBetween(policy, 0, 14_000)).toEqual([0, 500, 1500, 3500, 6500, 9500, 12_500]);
  });

  it('does not let complaints undo the backoff', () => {
    // Arrange: publishers that ignore PLI make viewers complain all the time
    const policy = new KeyframePolicy();
    const times: number[] = [];
    // Act
    for (let nowMs = 0; nowMs < 10_000; nowMs += 10) {
      if (nowMs % 200 === 0) policy.request(nowMs % 400 === 0 ? 'viewer-pli' : 'loss', nowMs);
      if (policy.due(nowMs)) times.push(nowMs);
    }
    // Assert
    expect(times).toEqual([0, 500, 1500, 3500, 6500, 9500]);
  });

  it.each<KeyframeReason>(['new-viewer', 'layer-switch', 'recording', 'relay', 'resume'])(
    'gives a %s a fresh try while others wait',
    (reason) => {
      const policy = new KeyframePolicy();
      policy.request('viewer-pli', 0);
      expect(sentBetween(policy, 0, 4000)).toEqual([0, 500, 1500, 3500]);
      policy.request(reason, 4000);
      expect(sentBetween(policy, 4000, 5500)).toEqual([4000, 5000]);
    },
  );

  it('starts anew after a keyframe', () => {
    // Arrange
    const policy = new KeyframePolicy();
    policy.request('loss', 0);
    sentBetween(policy, 0, 4000);
    policy.keyframeSeen(4000);
    // Act
    policy.request('loss', 4100);
    // Assert
    expect(sentBetween(policy, 4100, 5200)).toEqual([4100, 4600]);
  });

  it('forgets the wish when nobody waits any more', () => {
    const policy = new KeyframePolicy();
    policy.request('new-viewer', 0);
    policy.cancel();
    expect(sentBetween(policy, 0, 1000)).toEqual([]);
  });

  it.each(['loss', 'viewer-pli', 'relay', 'recording'] as const)(
    'a picture that is broken is not forgotten because somebody else waits no more: %s',
    (reason) => {
      const policy = new KeyframePolicy();
      policy.request('new-viewer', 0);
      expect(policy.due(0)).toBe(true);
      policy.request(reason, 100);
      policy.cancel();
      expect(sentBetween(policy, 101, 1000).length).toBe(1);

      policy.keyframeSeen(1000);
      policy.request('layer-switch', 1100);
      policy.cancel();
      expect(policy.wanted).toBe(false);
    },
  );

  it('never sends two within 500 ms, and never leaves a wish alone for more than 3 s', () => {
    const event = fc.record({
      afterMs: fc.integer({ min: 0, max: 900 }),
      what: fc.constantFrom('new-viewer', 'viewer-pli', 'loss', 'keyframe', 'cancel'),
    });
    fc.assert(
      fc.property(fc.array(event, { maxLength: 60 }), (events) => {
        const policy = new KeyframePolicy();
        let nowMs = 0;
        let lastSentMs = Number.NEGATIVE_INFINITY;
        let wantedSinceMs = 0;
        for (const { afterMs, what } of events) {
          for (const endMs = nowMs + afterMs; nowMs < endMs; nowMs++) {
            if (policy.due(nowMs)) {
              expect(nowMs - lastSentMs).toBeGreaterThanOrEqual(500);
              lastSentMs = nowMs;
            }
            if (policy.wanted) expect(nowMs - Math.max(lastSentMs, wantedSinceMs)).toBeLessThanOrEqual(3000);
          }
          if (!policy.wanted) wantedSinceMs = nowMs;
          if (what === 'keyframe') policy.keyframeSeen(nowMs);
          else if (what === 'cancel') policy.cancel();
          else policy.request(what, nowMs);
        }
      }),
      { numRuns: 300 },
    );
  });
});
