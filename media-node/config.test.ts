import { describe, expect, test } from 'vitest';
import { NODE_SETTINGS } from '../shared/node-settings.ts';
import { NODE_SETTING_NAMES, NodeSettingsError, readNodeSettings } from './config.ts';

const GOOD = { EDGE_URL: 'https://edge.example', NODE_TOKEN: 'secret', MEDIA_ADDRESSES: '127.0.0.1' };

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    readNodeSettings(env);
    return [];
  } catch (error) {
    if (error instanceof NodeSettingsError) return error.problems;
    throw error;
  }
}

test('what is needed is said, all at once and in words', () => {
  expect(problemsOf({})).toEqual([
    'EDGE_URL is required: where the edge is, such as https://vestibule.example.workers.dev',
    'NODE_TOKEN is required: the same secret that the edge has',
  ]);
});

describe.each([
  ['EDGE_URL', 'edge.example', 'must be an http:// or https:// URL'],
  ['EDGE_URL', 'ftp://edge.example', 'must be an http:// or https:// URL'],
  ['NODE_TOKEN', 'two words', 'must be printable ASCII without blanks'],
  ['NODE_ID', 'a b', 'must be 1 to 64 of'],
  ['NODE_REGION', 'x'.repeat(65), 'must not be longer than 64'],
  ['NODE_COORDINATES', '48.86', 'must be degrees north and east'],
  ['NODE_COORDINATES', '91,0', 'must be degrees north and east'],
  ['NODE_BANDWIDTH_BPS', 'fast', 'must be a whole number, 1 or more'],
  ['DRAIN_TIMEOUT_MS', '-1', 'must be a whole number, 0 or more'],
  ['NODE_CAPACITY', '0', 'must be a whole number, 1 or more'],
  ['NODE_CAPACITY', 'many', 'must be a whole number, 1 or more'],
  ['MEDIA_PORT', '70000', 'must be a port number'],
  ['MEDIA_PORT', 'x', 'must be a port number'],
  ['MEDIA_ADDRESSES', 'example.org', '"example.org" is neither an IP address'],
  ['KEYFRAME_CACHE', 'maybe', 'must be true or false'],
  ['KEYFRAME_CACHE_BYTES', '-1', 'must be a whole number, 0 or more'],
  ['FANOUT_ENGINE', 'fast', 'must be one of auto, portable, native'],
  ['NODE_STATUS_PORT', '1e3', 'must be a port number'],
  ['NODE_STATUS_HOST', 'no host', 'must be an address or a host name'],
  ['NODE_WORKERS', '0', 'must be a number of processes'],
  ['NODE_WORKERS', 'two', 'must be a number of processes'],
])('%s=%s', (name, value, words) => {
  test('is one problem, in words', () => {
    const problems = problemsOf({ ...GOOD, [name]: value });
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(`${name} ${words}`);
    expect(problems[0]).not.toMatch(/invalid|expected|received|zod/i);
  });
});

test('an empty variable is an unset one', () => {
  expect(readNodeSettings({ ...GOOD, MEDIA_PORT: '', NODE_WORKERS: '', NODE_ID: 'n' })).toMatchObject({
    MEDIA_PORT: 8840,
    NODE_WORKERS: null,
    NODE_STATUS_PORT: null,
    NODE_ID: 'n',
  });
});

test('where a node is', () => {
  const { NODE_COORDINATES } = readNodeSettings({ ...GOOD, NODE_COORDINATES: ' -33.87, 151.21' });
  expect(NODE_COORDINATES).toEqual({ latitude: -33.87, longitude: 151.21 });
});

test('the help knows every setting', () => {
  expect(NODE_SETTINGS.map(({ name }) => name).toSorted()).toEqual(NODE_SETTING_NAMES.toSorted());
});
