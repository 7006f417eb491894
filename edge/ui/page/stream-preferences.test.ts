import { expect, test } from 'vitest';
import { initialStream, isStream, nameOfLabel, streamPath, subjectOf } from './stream-preferences.ts';

const UUID = '6f1c1f5e-2222-4333-8444-5555aaaabbbb';

function jwt(claims: unknown): string {
  const text = String.fromCharCode(...new TextEncoder().encode(JSON.stringify(claims)));
  return `e30.${btoa(text).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')}.signature`;
}

test.each([
  [jwt({ sub: 'ada' }), 'ada'],
  [jwt({ sub: 'Zoë ☃ ÿÿÿ' }), 'Zoë ☃ ÿÿÿ'],
  [jwt({ sub: 7 }), ''],
  [jwt(null), ''],
  ['no token', ''],
  ['', ''],
  ['a.!!!.b', ''],
])('the subject of %j is %j', (token, subject) => {
  expect(subjectOf(token)).toBe(subject);
});

test.each([
  [`?space=demo&stream=${UUID}`, { space: 'demo', stream: UUID }],
  [`?space=a/b&stream=${UUID}`, { space: '', stream: UUID }],
  ['?space=demo&stream=1', { space: 'demo', stream: '' }],
  ['', { space: '', stream: '' }],
])('%j names %j', (search, choice) => {
  expect(initialStream(search)).toEqual(choice);
  expect(isStream(choice)).toBe(choice.space !== '' && choice.stream !== '');
});

test('a space may look like a mail address', () => {
  const choice = { space: 'root_channel@video.example', stream: UUID };

  expect(isStream(choice)).toBe(true);
  expect(streamPath(choice)).toBe(`/space/root_channel%40video.example/stream/${UUID}`);
});

test.each([
  ['Ada_Lovelace', 'Ada Lovelace'],
  ['', 'Guest'],
])('the label %j reads %j', (label, name) => {
  expect(nameOfLabel(label)).toBe(name);
});
