import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { removeEmptyObjects } from './empty-objects.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'vestibule-objects-'));
  mkdirSync(join(directory, 'Lobby'));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** The path of an object's database after these statements. */
function database(name: string, ...statements: string[]): string {
  const path = join(directory, 'Lobby', name);
  const opened = new DatabaseSync(path);
  opened.exec('PRAGMA journal_mode = WAL');
  for (const statement of statements) opened.exec(statement);
  opened.close();
  return path;
}

const objectFile = (digit: string) => `${digit.repeat(64)}.sqlite`;
const left = () => readdirSync(join(directory, 'Lobby')).sort();

test('databases without a table go, those with one stay, be it empty', () => {
  database(objectFile('a'));
  database(objectFile('b'), 'CREATE TABLE kept (value)');
  database(objectFile('c'), 'CREATE TABLE kept (value)', 'INSERT INTO kept VALUES (1)');
  writeFileSync(join(directory, 'Lobby', `${objectFile('a')}-shm`), '');

  expect(removeEmptyObjects(directory)).toBe(1);

  expect(left()).toEqual([objectFile('b'), objectFile('c')]);
  expect(removeEmptyObjects(directory)).toBe(0);
});

test('what is not surely an empty database of an object stays', () => {
  database('metadata.sqlite');
  const written = database(objectFile('d'));
  writeFileSync(`${written}-wal`, 'a write that was not carried over before the power went');
  writeFileSync(join(directory, 'Lobby', objectFile('e')), 'short');
  writeFileSync(join(directory, 'Lobby', objectFile('f')), Buffer.alloc(4096));
  const before = left();

  expect(removeEmptyObjects(directory)).toBe(0);

  expect(left()).toEqual(before);
});

test('a directory that is not there has none', () => {
  expect(removeEmptyObjects(join(directory, 'nothing'))).toBe(0);
});
