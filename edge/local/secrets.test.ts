import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keptSecrets, SECRETS_FILE } from './secrets.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vestibule-secrets-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('are made once, differ from each other, and are kept for the owner only', () => {
  const state = join(directory, 'new');
  const first = keptSecrets(state);
  chmodSync(join(state, SECRETS_FILE), 0o644);
  const second = keptSecrets(state);
  expect(second).toEqual(first);
  expect(first.NODE_TOKEN).toMatch(/^[a-z2-7]{52}$/);
  expect(first.NODE_TOKEN).not.toBe(first.SESSION_SECRET);
  expect(statSync(join(state, SECRETS_FILE)).mode & 0o777).toBe(0o600);
});

test('a file of an older version is completed, and what is in it is kept', () => {
  const old = { NODE_TOKEN: 'node', SESSION_SECRET: 'session' };
  writeFileSync(join(directory, SECRETS_FILE), JSON.stringify(old));
  const completed = keptSecrets(directory);
  expect(completed).toMatchObject(old);
  expect(completed.ADMIN_TOKEN).toMatch(/^[a-z2-7]{52}$/);
  expect(completed.REGISTER_TOKEN).not.toBe(completed.ADMIN_TOKEN);
  expect(keptSecrets(directory)).toEqual(completed);
  expect(statSync(join(directory, SECRETS_FILE)).mode & 0o777).toBe(0o600);
});

test.each(['', '{}', '{"NODE_TOKEN":"x"}', 'not json'])('a damaged file (%j) is not replaced', (text) => {
  writeFileSync(join(directory, SECRETS_FILE), text);
  expect(() => keptSecrets(directory)).toThrow('is damaged');
});
