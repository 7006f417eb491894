import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { removeEmptyObjects, sweepEmptyObjects } from './empty-objects.ts';

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
  writeFileSync(join(directory, 'Lobby', `${objectFile('e')}.empty`), 'left by a sweep that was cut off');

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

test('one that was put aside while its object wrote goes back to its log', () => {
  const path = join(directory, 'Lobby', objectFile('a'));
  writeFileSync(`${path}.empty`, 'the first page');
  writeFileSync(`${path}-wal`, 'a write');

  expect(removeEmptyObjects(directory)).toBe(0);

  expect(left()).toEqual([objectFile('a'), `${objectFile('a')}-wal`]);
});

describe('while a runtime uses them', () => {
  const inAnHour = Date.now() + 3_600_000;
  const sweep = (meanwhile: () => void = () => undefined, now = inAnHour) =>
    sweepEmptyObjects(directory, { now, waitMs: async () => meanwhile() });

  test('those that no object has open go, once they are old enough', async () => {
    database(objectFile('a'));
    const open = database(objectFile('b'));
    writeFileSync(`${open}-shm`, '');
    database(objectFile('c'), 'CREATE TABLE kept (value)');

    expect(await sweep(undefined, Date.now())).toBe(0);
    expect(await sweep()).toBe(1);

    expect(left()).toEqual([objectFile('b'), `${objectFile('b')}-shm`, objectFile('c')]);
  });

  test('one that an object has opened in that very moment is put back', async () => {
    const path = database(objectFile('a'));

    expect(await sweep(() => writeFileSync(`${path}-wal`, ''))).toBe(0);

    expect(left()).toEqual([objectFile('a'), `${objectFile('a')}-wal`]);
  });

  test('who has opened one and not yet used it is told by SQLite, and finds a new one: nothing is written into the void', async () => {
    const path = database(objectFile('a'));
    const early = new DatabaseSync(path);

    await sweep(() => expect(() => early.exec('CREATE TABLE kept (value)')).toThrow('disk I/O error'));

    early.close();
    const again = new DatabaseSync(path);
    again.exec('CREATE TABLE kept (value)');
    again.close();
    expect(left()).toEqual([objectFile('a')]);
  });

  test('one that came anew meanwhile stays as it is', async () => {
    const path = database(objectFile('a'));

    await sweep(() => writeFileSync(path, 'new'));

    expect(left()).toEqual([objectFile('a')]);
    expect(readFileSync(path, 'utf8')).toBe('new');
  });
});
