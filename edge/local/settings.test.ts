import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PROJECT_ROOT } from './project.ts';
import { KNOWN_NAMES, loadSettings, mediaBindAddresses, mediaPorts, parseSettings, SettingsError } from './settings.ts';

function problemsOf(environment: Record<string, string>): readonly string[] {
  try {
    parseSettings(environment);
    return [];
  } catch (error) {
    if (error instanceof SettingsError) return error.problems;
    throw error;
  }
}

test('nothing set is a complete configuration', () => {
  const { launcher, edge, edgeVariables } = parseSettings({});
  expect(launcher).toMatchObject({ HOST: '127.0.0.1', PORT: 8080, MEDIA_PORT: 8840, NODE_ID: 'local' });
  expect(edge).toMatchObject({ allowedOrigins: '*', authToken: null, publisherGraceMs: 15_000 });
  expect(edgeVariables).toEqual({});
});

test('every problem is told at once, under its variable', () => {
  const problems = problemsOf({
    PORT: '70000',
    NODE_ID: 'no spaces',
    MEDIA_ADDRESSES: '10.0.0.1/2001:db8::1',
    ROOM_TOKENS: 'broken',
    PUBLISHER_GRACE_MS: 'soon',
    TURN_USERNAME: 'u',
  });
  const names = ['PORT', 'NODE_ID', 'MEDIA_ADDRESSES', 'ROOM_TOKENS', 'PUBLISHER_GRACE_MS', 'TURN_USERNAME'];
  expect(problems.map((problem) => problem.split(' ')[0])).toEqual(names);
});

test("what only the node beside the edge reads is among the problems, in the node's own terms", () => {
  const right = {
    NODE_CAPACITY: '1',
    KEYFRAME_CACHE: '0',
    KEYFRAME_CACHE_BYTES: '0',
    FANOUT_ENGINE: 'auto',
    DELETE_RECORDING_AFTER_UPLOAD: '1',
    RECORD_MAX_BYTES: '1000000',
  };
  expect(problemsOf(right)).toEqual([]);

  const wrong = {
    NODE_CAPACITY: '0',
    KEYFRAME_CACHE: 'maybe',
    KEYFRAME_CACHE_BYTES: '1.5',
    FANOUT_ENGINE: 'fast',
    DELETE_RECORDING_AFTER_UPLOAD: 'later',
    RECORD_MAX_BYTES: '1 GB',
    S3_BUCKET: 'recordings',
  };
  expect(problemsOf(wrong)).toEqual([
    'NODE_CAPACITY must be a whole number, 1 or more',
    'KEYFRAME_CACHE must be true or false',
    'KEYFRAME_CACHE_BYTES must be a whole number, 0 or more',
    'FANOUT_ENGINE must be portable, native or auto',
    'DELETE_RECORDING_AFTER_UPLOAD must be true or false',
    'RECORD_MAX_BYTES must be a whole number, 1 or more',
    'S3_ENDPOINT, S3_ACCESS_KEY, S3_SECRET_KEY must be given, too: an S3 store needs endpoint, bucket and both keys',
  ]);
});

test('a secret is never part of a message', () => {
  const problems = problemsOf({ NODE_TOKEN: 'hush hush', ROOM_TOKENS: 'hush' });
  expect(problems).toHaveLength(2);
  expect(problems.join()).not.toContain('hush');
});

test.each(['', '80a', '-1', '65536', '8080 '])('PORT=%j', (PORT) => {
  const expected = PORT === '' ? [] : ['PORT must be a port number, 0 to 65535 (0 picks a free one)'];
  expect(problemsOf({ PORT })).toEqual(expected);
});

test('the local half of an address pair is what gets bound', () => {
  expect(mediaBindAddresses(parseSettings({ MEDIA_ADDRESSES: '10.0.0.5/203.0.113.7, ::1' }))).toEqual([
    '10.0.0.5',
    '::1',
  ]);
  expect(mediaBindAddresses(parseSettings({}))).toBeNull();
});

describe('.env', () => {
  let directory: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'vestibule-env-'));
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test('completes the environment, which wins', () => {
    writeFileSync(join(directory, '.env'), 'PORT=1111\nHOST=0.0.0.0\nAUTH_TOKEN="quoted # token"\nADMIN_TOKEN=\n');
    const { launcher, edgeVariables, environment } = loadSettings(directory, { PORT: '2222', HOST: '' });
    expect(launcher).toMatchObject({ PORT: 2222, HOST: '0.0.0.0' });
    expect(edgeVariables).toEqual({ AUTH_TOKEN: 'quoted # token' });
    expect(environment.ADMIN_TOKEN).toBeUndefined();
  });

  test('need not be there', () => {
    expect(loadSettings(directory, {}).warnings).toEqual([]);
  });

  test('a misspelt name is pointed out, wherever it stands; a foreign one in the file only', () => {
    writeFileSync(join(directory, '.env'), 'AUTH_TOKN=x\nUNRELATED=1\n');
    const { warnings } = loadSettings(directory, { PUBLIC_URI: 'x', HOSTNAME: 'h', SHELL: 's' });
    expect(warnings).toEqual([
      'AUTH_TOKN is not a setting; did you mean AUTH_TOKEN?',
      'UNRELATED in .env is not a setting of ours',
      'PUBLIC_URI is not a setting; did you mean PUBLIC_URL?',
    ]);
  });
});

test("the README's table and .env.example know every setting, and no other", () => {
  const readme = readFileSync(join(PROJECT_ROOT, 'README.md'), 'utf8');
  const rows = readme.split('\n').filter((line) => /^\| `[A-Z]/.test(line));
  const inTable = rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`([A-Z][A-Z0-9_]+)`/g)].map((match) => match[1]),
  );
  expect(inTable.toSorted()).toEqual([...KNOWN_NAMES].toSorted());

  const example = readFileSync(join(PROJECT_ROOT, '.env.example'), 'utf8');
  const inExample = [...example.matchAll(/^# ([A-Z][A-Z0-9_]+)=/gm)].map((match) => match[1]);
  // How a script is told that it is up, and where tests keep their state: not for a file that stays.
  const expected = KNOWN_NAMES.filter((name) => !name.startsWith('VESTIBULE_'));
  expect(inExample.toSorted()).toEqual(expected.toSorted());
});

describe('weak secrets', () => {
  test('a JWT_SECRET that can be tried out is refused, a short one complained about', () => {
    expect(() => parseSettings({ JWT_SECRET: 'secret' })).toThrow(/JWT_SECRET must have at least 16 characters/);
    const { warnings } = loadSettings(tmpdir(), { JWT_SECRET: 'x'.repeat(31) });
    expect(warnings).toEqual([expect.stringContaining('JWT_SECRET has 31 characters')]);
    expect(loadSettings(tmpdir(), { JWT_SECRET: 'x'.repeat(32) }).warnings).toEqual([]);
  });

  test.each(['NODE_TOKEN', 'ADMIN_TOKEN', 'REGISTER_TOKEN'])('a short %s is complained about', (name) => {
    expect(loadSettings(tmpdir(), { [name]: 'short' }).warnings).toEqual([
      expect.stringContaining(`${name} has 5 characters`),
    ]);
  });
});

test('each worker has a port; beyond the last one the node says so itself', () => {
  expect(mediaPorts(parseSettings({}))).toEqual([8840]);
  expect(mediaPorts(parseSettings({ NODE_WORKERS: '3', MEDIA_PORT: '9000' }))).toEqual([9000, 9001, 9002]);
  expect(mediaPorts(parseSettings({ NODE_WORKERS: '3', MEDIA_PORT: '65535' }))).toEqual([65_535]);
  expect(() => parseSettings({ NODE_WORKERS: 'some' })).toThrow(/NODE_WORKERS must be a number of processes/);
});
