import { describe, expect, test } from 'vitest';
import { rankH264, readH264Profile } from './h264.ts';

test.each([
  ['42e01f', 'constrained-baseline'],
  ['42401e', 'constrained-baseline'],
  ['42c01e', 'constrained-baseline'],
  ['4D801F', 'constrained-baseline'],
  ['42001f', 'baseline'],
  ['4d001f', 'main'],
  ['4d401f', 'main'],
  ['58001f', 'extended'],
  ['640c1f', 'constrained-high'],
  ['640028', 'high'],
  ['6e0028', 'high-10'],
  ['7a0028', 'high-422'],
  ['f4001f', 'high-444'],
  ['ff001f', null],
  ['42e0', null],
  ['nonsense', null],
])('profile-level-id %s is %s', (id, profile) => {
  expect(readH264Profile(id)).toBe(profile);
});

describe('rankH264 prefers', () => {
  const format = (id: string, mode: number) =>
    `level-asymmetry-allowed=1;packetization-mode=${mode};profile-level-id=${id}`;
  const best = (source: string, offers: string[]) =>
    offers.toSorted((a, b) => rankH264(source, b) - rankH264(source, a))[0];

  test.each([
    [
      'the same profile and mode',
      format('42e01f', 1),
      [format('42001f', 1), format('42e01f', 0), format('42e01f', 1)],
      2,
    ],
    ['another level of the profile', format('42c01e', 1), [format('4d001f', 1), format('42e034', 1)], 1],
    ['the mode over the profile', format('640028', 1), [format('640028', 0), format('42e01f', 1)], 1],
    [
      'a profile that includes it',
      format('4d001f', 1),
      [format('42e01f', 1), format('42001f', 1), format('64001f', 1)],
      2,
    ],
    [
      'the nearest that includes it',
      format('42e01f', 1),
      [format('f4001f', 1), format('64001f', 1), format('4d001f', 1)],
      2,
    ],
    [
      'the most able of the rest',
      format('640028', 1),
      [format('42e01f', 1), format('42001f', 1), format('4d001f', 1)],
      2,
    ],
    ['mode 1 for a stream that says nothing', '', [format('42e01f', 0), format('42e01f', 1)], 1],
    ['mode 0 unsaid (Firefox)', format('42e01f', 0), [format('42e01f', 1), 'profile-level-id=42e01f'], 1],
    ['mode 1 for a stream of mode 0', format('42e01f', 0), [format('4d001f', 1), format('42e01f', 1)], 1],
  ])('%s', (_what, source, offers, index) => {
    expect(best(source, offers)).toBe(offers[index]);
  });
});
