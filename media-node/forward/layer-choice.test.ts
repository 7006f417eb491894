import { describe, expect, it } from 'vitest';
import { AUTOMATIC, choicesOf, chooseLayer, ViewerLayer } from './layer-choice.ts';
import type { LayerStep } from './layer-step.ts';
import type { LayerChoice } from './types.ts';

const HIGH = { rid: 'h', width: 1280, height: 720 };
const MIDDLE = { rid: 'm', width: 640, height: 360 };
const LOW = { rid: 'l', width: 320, height: 180 };
const ALL = [HIGH, MIDDLE, LOW];
const UNKNOWN = ALL.map(({ rid }) => ({ rid, width: 0, height: 0 }));

const within = (maxWidth: number, maxHeight = Infinity): LayerChoice => ({ rid: null, maxWidth, maxHeight });
const named = (rid: string): LayerChoice => ({ ...AUTOMATIC, rid });

describe('a choice of layers', () => {
  it.each([
    ['automatic: the best', ALL, AUTOMATIC, 0, 'h'],
    ['automatic, one down', ALL, AUTOMATIC, 1, 'm'],
    ['automatic, further down than there are', ALL, AUTOMATIC, 7, 'l'],
    ['by name', ALL, named('m'), 0, 'm'],
    ['by name, whatever the line is like', ALL, named('h'), 2, 'h'],
    ['by a name that does not flow: automatic', ALL, named('x'), 1, 'm'],
    ['not wider than', ALL, within(700), 0, 'm'],
    ['not wider than, one down', ALL, within(700), 1, 'l'],
    ['not higher than', ALL, within(Infinity, 180), 0, 'l'],
    ['smaller than all: the lowest', ALL, within(100), 0, 'l'],
    ['sizes that nobody knows fit', UNKNOWN, within(100), 0, 'h'],
    ['nothing flows', [], AUTOMATIC, 0, null],
    ['by name, and nothing flows', [], named('h'), 0, null],
  ])('%s', (_, steps, choice, down, expected) => {
    expect(chooseLayer(steps, choice, down)?.rid ?? null).toBe(expected);
  });

  it.each([
    [AUTOMATIC, 3],
    [within(700), 2],
    [within(100), 0],
  ])('counts what there is to choose from', (choice, expected) => {
    expect(choicesOf(ALL, choice)).toBe(expected);
  });
});

describe('a viewer whose line bears the middle layer', () => {
  const steps = (...layers: (typeof HIGH)[]): LayerStep[] =>
    layers.map((layer) => ({ ...layer, stream: null, bitrateBps: () => 1_000_000 }));
  const all = steps(HIGH, MIDDLE, LOW);

  /** One that went down once. */
  function held() {
    const viewer = new ViewerLayer();
    let nowMs = 0;
    /** Told of these layers, it reports each second; the layer at the end of that. */
    const report = (layers: readonly LayerStep[], seconds: number, loss: number): string | null => {
      viewer.from(layers);
      for (let second = 0; second < seconds; second++, nowMs += 1000) {
        if (viewer.noteReport(layers, { fractionLost: loss, queueMs: 0 }, nowMs)) viewer.from(layers);
      }
      return viewer.from(layers)?.rid ?? null;
    };
    expect(viewer.from(all)?.rid).toBe('h');
    expect(report(all, 3, 0.3)).toBe('m');
    return { viewer, report };
  }

  it('keeps it when the publisher stops the best one, and when it begins that again', () => {
    const { viewer, report } = held();
    expect(viewer.from(steps(MIDDLE, LOW))?.rid).toBe('m');
    expect(report(steps(MIDDLE, LOW), 30, 0)).toBe('m');
    expect(viewer.from(all)?.rid).toBe('m');
    expect(report(all, 12, 0)).toBe('h');
    // Now nothing holds it.
    expect(viewer.from(steps(MIDDLE, LOW))?.rid).toBe('m');
    expect(viewer.from(all)?.rid).toBe('h');
  });

  it('goes down and up from there', () => {
    const { viewer, report } = held();
    expect(report(steps(MIDDLE, LOW), 8, 0.3)).toBe('l');
    expect(report(steps(MIDDLE, LOW), 15, 0)).toBe('m');
    expect(viewer.from(all)?.rid).toBe('m');
  });

  it('goes down when it stops', () => {
    const { viewer } = held();
    expect(viewer.from(steps(HIGH, LOW))?.rid).toBe('l');
  });

  it('a choice of its own holds it no longer', () => {
    const { viewer } = held();
    viewer.choice = AUTOMATIC;
    expect(viewer.from(steps(MIDDLE, LOW))?.rid).toBe('m');
    expect(viewer.from(all)?.rid).toBe('h');
  });
});
