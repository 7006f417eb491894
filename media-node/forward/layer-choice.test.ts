import { describe, expect, it } from 'vitest';
import { AUTOMATIC, choicesOf, chooseLayer } from './layer-choice.ts';
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
